"""Imagined against real in a run's report, where its policies were tried both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from world4rl.presentation.charts import Series, line_chart
from world4rl.runs.concordance import RESULT

WHOLE = (0.0, 1.0)


def concordance_section(run: Path) -> dict[str, Any]:
    """The figures with a chart of success by iteration and the reliability plot; empty where nothing was tried."""
    path = run / RESULT
    if not path.is_file():
        return {}
    found = json.loads(path.read_text())
    return found | {"charts": [_success(found["policies"]), _reliability(found["reliability"])]}


def _success(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def column(name: str) -> list[tuple[float, float]]:
        return [(row["iteration"], row[name]) for row in rows]

    band = [(row["iteration"], *row["ci95"]) for row in rows]
    series = [
        Series("real, with its 95 % interval", column("real"), "var(--c1)", band=band),
        Series("judged by the independent model", column("judged"), "var(--c4)"),
        Series("imagined, in the dream it trained in", column("imagined"), "var(--c3)"),
    ]
    return _figure("Imagined and real success", series, "PPO iteration", "success")


def _reliability(bins: list[dict[str, Any]]) -> dict[str, Any]:
    dots = [(one["belief"], one["real"]) for one in bins]
    series = [
        Series("as believed", [(0.0, 0.0), (1.0, 1.0)], "var(--c2)"),
        Series("real success by the judge's belief", dots, "var(--c4)", dots=True),
    ]
    return _figure("Reliability", series, "the judge's belief in success", "real success")


def _figure(title: str, series: list[Series], x_label: str, y_label: str) -> dict[str, Any]:
    svg = line_chart(series, x_label, y_label, y_range=WHOLE, percent=True)
    return {"title": title, "series": series, "svg": Markup(svg)}

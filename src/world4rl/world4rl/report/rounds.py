"""The rounds of `world4rl loop` in a run's report."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from world4rl.presentation.charts import Series, line_chart


def rounds_section(loop: dict[str, Any]) -> dict[str, Any]:
    """The table's rows with a chart of success by round; empty where no round was done."""
    rows = loop.get("rounds") or []
    if len(rows) < 2:
        return {}
    series = [_by_round("refined", rows, "success", "ci95", "var(--c3)")]
    rival = all("filtered_bc_success" in row for row in rows)  # a loop of before there was one has none
    if rival:
        series.append(_by_round("filtered BC", rows, "filtered_bc_success", "filtered_bc_ci95", "var(--c2)"))
    chart = line_chart(series, "round", "success", y_range=(0.0, 1.0), percent=True)
    return {**loop, "rows": rows, "rival": rival, "chart": Markup(chart)}


def _by_round(name: str, rows: list[dict[str, Any]], rate: str, interval: str, colour: str) -> Series:
    points, band = ([(row["round"], row[rate]) for row in rows], [(row["round"], *row[interval]) for row in rows])
    return Series(name, points, colour, band=band)

"""The rounds of `world4rl loop` in a run's report."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from world4rl.charts import Series, line_chart


def rounds_section(loop: dict[str, Any]) -> dict[str, Any]:
    """The table's rows with a chart of success by round; empty where no round was done."""
    rows = loop.get("rounds") or []
    if len(rows) < 2:
        return {}
    points = [(row["round"], row["success"]) for row in rows]
    band = [(row["round"], *row["ci95"]) for row in rows]
    series = [Series("real success", points, "var(--c3)", band=band)]
    chart = line_chart(series, "round", "success", y_range=(0.0, 1.0), percent=True)
    return {**loop, "rows": rows, "chart": Markup(chart)}

"""measures.html: the measures as one self-contained page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from markupsafe import Markup

from world4rl.presentation.charts import Series, line_chart
from world4rl.presentation.clips import read_clips
from world4rl.presentation.html import environment
from world4rl_data.durable import replace_file

Curve = list[dict[str, Any] | None]
DREAM, OTHER = "var(--c3)", "var(--c1)"


def build_page(values: dict[str, Any], out: Path) -> Path:
    """Write `out`/measures.html from what measures.json holds and from the films in `out`."""
    template = environment().get_template("measures.html.j2")
    return replace_file(out / "measures.html", template.render(**view(values, out)))


def view(values: dict[str, Any], out: Path) -> dict[str, Any]:
    """What the template shows."""
    clips, left_out = read_clips(out)
    by_name = {clip.name: clip for clip in clips}
    groups = [_group(group, values["horizons"], by_name, out) for group in values["groups"]]
    counterfactual = values["counterfactual"]
    if "not_measured" not in counterfactual:
        counterfactual = counterfactual | {
            "rows": rows({k: counterfactual[k] for k in ("correlation", "relative_error")}, values["horizons"]),
            "charts": [
                chart("correlation", {"dream": counterfactual["correlation"]}),
                chart("relative error", {"dream": counterfactual["relative_error"]}),
            ],
        }
    return {
        "headline": headline(values["groups"]),
        "groups": groups,
        "counterfactual": counterfactual,
        "not_computed": {name.upper(): reason for name, reason in values["not_computed"].items()},
        "clips_left_out": left_out,
        "provenance": {k: values[k] for k in ("world_model", "reward", "contract", "seed", "created") if k in values},
        "stores": values["stores"],
    }


def headline(groups: list[dict[str, Any]]) -> str:
    """The farthest step of the first group in one sentence."""
    group = groups[0]
    psnr = group["open_loop"]["psnr"]
    step = max(i for i, value in enumerate(psnr["ours"]) if value is not None)
    ours, rival = psnr["ours"][step], psnr["rival"][step]
    text = (
        f"{group['name']}, {step + 1} steps ahead: PSNR {ours['mean']:.1f} dB, "
        f"copying the last frame {rival['mean']:.1f} dB ({ours['episodes']} episodes)"
    )
    honest = group["outcomes"].get("honest_failure")
    if honest and honest["of"]:
        text += f"; {honest['count']} of {honest['of']} failures are dreamed as failures"
    return text + "."


def _group(group: dict[str, Any], horizons: list[int], clips: dict[str, Any], out: Path) -> dict[str, Any]:
    """One group's tables, charts, films and strips."""
    shown = dict(group)
    shown["beyond"] = [h for h in horizons if h > group["longest"]]
    horizons = [h for h in horizons if h <= group["longest"]]
    measures = group["open_loop"]
    shown["tables"] = [
        {
            "title": m["title"],
            "unit": m["unit"],
            "rows": rows({k: m[k] for k in ("ours", "rival", "advantage")}, horizons),
        }
        for m in measures.values()
    ]
    shown["charts"] = [
        chart(m["title"], {"dream": m["ours"], "copying the last frame": m["rival"]}, m["unit"])
        for m in measures.values()
    ]
    following = group["following"].get("moving")
    if following:
        labels = {"its own actions": following["ours"], "another episode's": following["rival"]}
        shown["following_chart"] = chart(following["title"], labels, following["unit"])
        shown["following_rows"] = rows({k: following[k] for k in ("ours", "rival", "advantage")}, horizons)
    outcomes = group["outcomes"]
    if "by_horizon" in outcomes:
        curves = outcomes["by_horizon"]
        shown["outcome_rows"] = rows(curves, horizons)
        shown["outcome_chart"] = chart("J = TPR − FPR by step", {"J": curves["j"]})
    shown["films"] = [
        film
        | {"clip": clips.get(film["name"].replace("-", " ").replace("_", " ")), "strip": _picture(out, film["name"])}
        for film in group["films"]
    ]
    return shown


def rows(curves: dict[str, Curve], horizons: list[int]) -> list[dict[str, Any]]:
    """One row for each horizon: the curves' values there, None where a curve has none."""
    found = []
    for horizon in horizons:
        at = {name: curve[horizon - 1] if horizon <= len(curve) else None for name, curve in curves.items()}
        found.append({"horizon": horizon, **at, "measured": any(value is not None for value in at.values())})
    return found


def chart(title: str, curves: dict[str, Curve], unit: str = "") -> dict[str, Any]:
    """A line with its interval for each curve, by step."""
    series = []
    for (name, curve), colour in zip(curves.items(), (DREAM, OTHER)):
        there = [(step, value) for step, value in enumerate(curve, 1) if value is not None]
        points = [(float(step), value["mean"]) for step, value in there]
        band = [(float(step), value["low"], value["high"]) for step, value in there]
        series.append(Series(name, points, colour, band=band))
    return {"title": title, "unit": unit, "series": series, "svg": Markup(line_chart(series, "step", title))}


def _picture(out: Path, name: str) -> str:
    path = out / "strips" / f"{name}.png"
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()

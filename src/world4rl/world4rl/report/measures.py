"""The world model's measures in a run's report, where `world4rl evaluate world-model RUN` has taken them."""

from __future__ import annotations

from typing import Any

from world4rl.model_measures.page import chart, rows

SHOWN = ("ssim", "psnr", "moving")


def measured_groups(measures: dict[str, Any]) -> list[dict[str, Any]]:
    """For each group of episodes: a row for each horizon, the charts, and what the outcomes came to."""
    horizons = measures.get("horizons") or []
    return [_group(group, [h for h in horizons if h <= group["longest"]]) for group in measures.get("groups") or []]


def _group(group: dict[str, Any], horizons: list[int]) -> dict[str, Any]:
    found = [group["open_loop"][name] for name in SHOWN if name in group["open_loop"]]
    parts = [rows({"dream": measure["ours"], "rival": measure["rival"]}, horizons) for measure in found]
    following = group["following"].get("moving")
    return {
        "name": group["name"],
        "episodes": group["episodes"],
        "seen": bool(group.get("seen_in_training")),
        "titles": [_title(measure) for measure in found],
        "rows": [(horizon, [part[index] for part in parts]) for index, horizon in enumerate(horizons)],
        "charts": [
            chart(measure["title"], {"dream": measure["ours"], "copying the last frame": measure["rival"]})
            for measure in found
        ],
        "following": rows({"gain": following["advantage"]}, horizons[-1:]) if following else [],
        "outcomes": {name: group["outcomes"].get(f"honest_{name}") for name in ("success", "failure")},
    }


def _title(measure: dict[str, Any]) -> str:
    return f"{measure['title']} [dB]" if measure["unit"] == "dB" else str(measure["title"])

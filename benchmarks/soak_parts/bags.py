"""Looks over the bags that a soak has left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from world4rl_data.contract import TaskContract
from world4rl_data.episode_record import EpisodeRecord
from world4rl_data.validate import validate_bag


def look_over(folder: Path, contract: TaskContract) -> dict[str, Any]:
    """Number of bags by outcome, errors and warnings by bag, messages that their recorder lost, folders left open."""
    outcomes: Counter[str] = Counter()
    errors, warnings, lost = [], Counter(), 0
    paths = sorted(path.parent for path in folder.glob("*/episode.json"))
    for path in paths:
        if path.name.endswith(".partial"):
            continue
        record = EpisodeRecord.load(path)
        outcomes[record.outcome.name.lower()] += 1
        lost += sum(record.dropped.values())
        if record.outcome.name == "INTERRUPTED":  # the end of the soak cut it: short, perhaps without any action
            continue
        for finding in validate_bag(path, contract):
            if finding.level == "error":
                errors.append(f"{path.name}: {finding.text}")
            else:
                warnings[finding.text.split(" for ")[0]] += 1
    return {
        "bags": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "errors": errors,
        "warnings": dict(warnings),
        "lost_messages": lost,
        "left_open": [path.name for path in folder.glob("*.partial")],
        "megabytes": round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6, 1),
    }

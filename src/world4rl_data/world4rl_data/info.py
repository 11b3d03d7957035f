"""Summary of a training store, for `world4rl dataset info` and reports."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .store import EpisodeStore


def describe(store: EpisodeStore) -> dict[str, Any]:
    """Plain values: counts by source and outcome, lengths, action statistics, sizes, hashes."""
    infos = store.infos
    lengths = [i.length for i in infos]
    actions = np.concatenate([store.actions(i) for i in range(len(store))]) if infos else np.zeros((0, 1))
    names = store.contract.action_names
    return {
        "path": str(store.path),
        "contract": store.contract.name,
        "contract_hash": store.contract.hash,
        "content_hash": store.content_hash,
        "episodes": len(infos),
        "steps": int(sum(lengths)),
        "length_min_mean_max": [min(lengths), float(np.mean(lengths)), max(lengths)] if lengths else [0, 0.0, 0],
        "minutes": sum(lengths) * store.contract.period_s / 60,
        "tasks": dict(Counter(i.task for i in infos)),
        "episodes_by_source_and_outcome": {
            f"{source} {outcome}": n
            for (source, outcome), n in Counter((i.source, i.outcome.name) for i in infos).items()
        },
        "action_mean_std": {
            name: [float(actions[:, d].mean()), float(actions[:, d].std())] for d, name in enumerate(names) if infos
        },
        "megabytes": sum(Path(f).stat().st_size for f in store.path.glob("*.bin")) / 1e6,
    }


def format_description(description: dict[str, Any]) -> str:
    """`describe` as lines for a terminal."""
    lines = []
    for key, value in description.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {k}: {_format(v)}" for k, v in value.items()]
        else:
            lines.append(f"{key}: {_format(value)}")
    return "\n".join(lines)


def _format(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_format(v) for v in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)

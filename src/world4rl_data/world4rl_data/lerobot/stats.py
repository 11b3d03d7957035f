"""Statistics as LeRobot keeps them for normalisation, per episode and over the data set.

Source: huggingface/lerobot, src/lerobot/datasets/compute_stats.py (v3.0): min, max, mean, std, count and five
quantiles; images in [0, 1] per channel from a sample of frames; quantiles of the whole are means of the episodes',
weighted by count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Stats = dict[str, np.ndarray]  # "mean", "std", ... -> float64 of the feature's shape; "count" -> int64 (1,)
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def sampled_frames(length: int) -> np.ndarray:
    """Indices of the frames that an episode's image statistics are taken from, int64 (n,): 100, more where long."""
    wanted = max(min(100, length), min(int(length**0.75), 10_000))
    return np.round(np.linspace(0, length - 1, wanted)).astype(np.int64)


def vector_stats(values: np.ndarray) -> Stats:
    """Of numbers (T, D) or (T,): arrays of shape (D,), or (1,)."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    return _stats(rows, len(values), (rows.shape[1],))


def image_stats(frames: np.ndarray) -> Stats:
    """Of uint8 frames (n, H, W, 3): arrays of shape (3, 1, 1), in [0, 1]."""
    step = max(1, max(frames.shape[1:3]) // 150) if max(frames.shape[1:3]) >= 300 else 1
    pixels = frames[:, ::step, ::step].reshape(-1, 3) / 255.0
    return _stats(pixels, len(frames), (3, 1, 1))


def _stats(rows: np.ndarray, count: int, shape: tuple[int, ...]) -> Stats:
    values = {
        "min": rows.min(0),
        "max": rows.max(0),
        "mean": rows.mean(0),
        "std": rows.std(0),
        **dict(zip(QUANTILES, np.quantile(rows, list(QUANTILES.values()), axis=0), strict=True)),
    }
    return {**{k: v.reshape(shape) for k, v in values.items()}, "count": np.array([count], np.int64)}


class RunningStats:
    """Joins the statistics of episodes one by one, in constant memory (Chan et al.'s parallel variance)."""

    def __init__(self) -> None:
        self._held: dict[str, Stats] = {}

    def add(self, episode: dict[str, Stats]) -> None:
        """`episode`: feature -> statistics of one episode."""
        for key, new in episode.items():
            self._held[key] = _joined(self._held[key], new) if key in self._held else new

    def to_dict(self) -> dict[str, Any]:
        """Contents of meta/stats.json."""
        return {key: plain(stats) for key, stats in self._held.items()}


def _joined(a: Stats, b: Stats) -> Stats:
    n, m = int(a["count"][0]), int(b["count"][0])
    share = m / (n + m)
    mean = a["mean"] + (b["mean"] - a["mean"]) * share
    spread = (a["std"] ** 2 + (a["mean"] - mean) ** 2) * (1 - share) + (b["std"] ** 2 + (b["mean"] - mean) ** 2) * share
    return {
        "min": np.minimum(a["min"], b["min"]),
        "max": np.maximum(a["max"], b["max"]),
        "mean": mean,
        "std": np.sqrt(spread),
        **{q: a[q] + (b[q] - a[q]) * share for q in QUANTILES},
        "count": a["count"] + b["count"],
    }


def plain(stats: Stats) -> dict[str, Any]:
    """Lists and numbers instead of arrays."""
    return {name: value.tolist() for name, value in stats.items()}


def columns(episode: dict[str, Stats]) -> Iterable[tuple[str, Any]]:
    """Columns of the episodes' table: `stats/<feature>/<statistic>`."""
    for key, stats in episode.items():
        for name, value in plain(stats).items():
            yield f"stats/{key}/{name}", value

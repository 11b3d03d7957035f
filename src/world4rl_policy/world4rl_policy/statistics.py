"""Success rates with intervals, and fair comparison of two policies on the same start states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from world4rl_wm.measures.intervals import wilson_interval

__all__ = ["PairedComparison", "clustered_interval", "compare", "wilson_interval"]


@dataclass(frozen=True)
class PairedComparison:
    """Policy B against A on the same start states: `gained` only B solves, `lost` only A solves."""

    difference: float
    ci95: tuple[float, float]
    gained: int
    lost: int
    episodes: int
    mcnemar_p: float

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def compare(a: Sequence[bool], b: Sequence[bool], resamples: int = 10_000, seed: int = 0) -> PairedComparison:
    """Paired difference of success B - A with a bootstrap interval over start states and the exact McNemar test.

    Raises:
        ValueError: the two lists differ in length or are empty.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"a paired comparison needs the same start states for both, got {len(a)} and {len(b)}")
    difference = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    gained, lost = int((difference > 0).sum()), int((difference < 0).sum())
    p = float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0
    rng = np.random.default_rng(seed)
    means = difference[rng.integers(len(difference), size=(resamples, len(difference)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return PairedComparison(float(difference.mean()), (float(low), float(high)), gained, lost, len(difference), p)


def clustered_interval(
    differences: Sequence[NDArray[np.floating]], resamples: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean paired difference over training seeds with a 95 % bootstrap interval that resamples seeds, then episodes.

    Args:
        differences: for each training seed, the paired differences (-1, 0, 1) of its episodes.
    """
    rng = np.random.default_rng(seed)
    clusters = [np.asarray(d, dtype=float) for d in differences]
    means = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(len(clusters), size=len(clusters))
        means[i] = np.mean([rng.choice(clusters[k], len(clusters[k])).mean() for k in drawn])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.mean([c.mean() for c in clusters])), float(low), float(high)

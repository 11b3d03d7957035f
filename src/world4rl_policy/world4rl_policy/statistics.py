"""Success rates with intervals, and fair comparison of two policies on the same start states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, t

from world4rl_wm.measures.intervals import wilson_interval

__all__ = [
    "PairedComparison",
    "clustered_interval",
    "compare",
    "crossed_interval",
    "mcnemar",
    "seed_interval",
    "seeds_verdict",
    "verdict",
    "wilson_interval",
]


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
    rng = np.random.default_rng(seed)
    means = difference[rng.integers(len(difference), size=(resamples, len(difference)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    ci95, p = (float(low), float(high)), mcnemar(difference)
    return PairedComparison(float(difference.mean()), ci95, gained, lost, len(difference), p)


def mcnemar(difference: ArrayLike) -> float:
    """p of the exact McNemar test, for paired differences of success (-1, 0, 1); 1 where no pair differs."""
    gained, lost = ((np.asarray(difference) * sign > 0).sum() for sign in (1, -1))
    return float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0


def clustered_interval(
    differences: Sequence[NDArray[np.floating]], resamples: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean paired difference over all episodes with a 95 % bootstrap interval that resamples seeds, then episodes.

    With two or three seeds it is hardly wider than from the lowest seed to the highest, and too narrow where they
    differ by more than their episodes explain: `seed_interval` is not. Where all seeds share their episodes it is too
    narrow as well: `crossed_interval` is not.

    Args:
        differences: for each training seed, the paired differences (-1, 0, 1) of its episodes, which no other seed has.
    """
    rng = np.random.default_rng(seed)
    clusters = [np.asarray(d, dtype=float) for d in differences]
    means = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(len(clusters), size=len(clusters))
        means[i] = np.concatenate([rng.choice(clusters[k], len(clusters[k])) for k in drawn]).mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.concatenate(clusters).mean()), float(low), float(high)


def crossed_interval(values: ArrayLike, resamples: int = 10_000, seed: int = 0) -> tuple[float, float, float]:
    """Mean of ``(trainings, episodes)`` with a 95 % bootstrap interval, for trainings measured on the same episodes.

    Each resample draws trainings, and episodes once for all of them: more trainings do not make the episodes more.
    """
    table = np.asarray(values, dtype=float)
    rng = np.random.default_rng(seed)
    trainings, episodes = (rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in table.shape)
    low, high = np.quantile(((trainings @ table) * episodes).sum(1) / table.size, [0.025, 0.975])
    return float(table.mean()), float(low), float(high)


def seed_interval(by_task: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """95 % interval of the mean over all trainings by Student's t, for trainings that differ in nothing but the seed.

    Args:
        by_task: for each task one mean per training seed. How far seeds lie apart is pooled over the tasks, which are
            taken as they are: it says nothing of other tasks.

    Returns:
        None where no task has two seeds.
    """
    tasks = [np.asarray(means, dtype=float) for means in by_task]
    count = sum(map(len, tasks))
    freedom = count - len(tasks)
    if freedom < 1:
        return None
    variance = sum(float(((means - means.mean()) ** 2).sum()) for means in tasks) / freedom
    middle = float(np.concatenate(tasks).mean())
    half = float(t.ppf(0.975, freedom)) * (variance / count) ** 0.5
    return middle - half, middle + half


Verdict = Literal["better", "worse", "undecided"]


def verdict(low: float, high: float, *, mcnemar_p: float = 0.0) -> Verdict:
    """What a difference's 95 % interval says, and the exact test of the pairs where there is one: a handful of episodes
    can move the bootstrap's interval off zero."""
    if mcnemar_p >= 0.05 or low <= 0 <= high:
        return "undecided"
    return "better" if low > 0 else "worse"


def seeds_verdict(by_t: tuple[float, float], bootstrap: tuple[float, float], *, mcnemar_p: float) -> Verdict:
    """What two 95 % intervals of a difference over seeds say together, `seed_interval` and the bootstrap, and the exact
    test of the pairs of all seeds: each fails where another does not. Seeds that are alike by chance leave Student's t
    no width; few seeds make the bootstrap too narrow; and a handful of episodes moves both off zero."""
    return verdict(min(by_t[0], bootstrap[0]), max(by_t[1], bootstrap[1]), mcnemar_p=mcnemar_p)

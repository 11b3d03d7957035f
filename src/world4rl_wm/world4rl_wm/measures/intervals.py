"""Means over episodes and rates, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over `episodes` with its 95 % interval."""

    mean: float
    low: float
    high: float
    episodes: int


@dataclass(frozen=True)
class Rate:
    """`count` of `of`, with the 95 % Wilson interval of the share; `share`, `low` and `high` are None of none."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


def wilson_interval(successes: int, episodes: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a success rate."""
    interval = binomtest(successes, episodes).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def rate(count: int, of: int) -> Rate:
    """The share with its interval."""
    return Rate(count, of, count / of, *wilson_interval(count, of)) if of else Rate(0, 0, None, None, None)


@dataclass(frozen=True)
class Resampled:
    """Means of the columns of a table ``(H,)``, of how many episodes, and of its bootstrap samples ``(RESAMPLES, H)``.

    NaN where there was nothing to take a mean of.
    """

    means: NDArray[np.float64]
    samples: NDArray[np.float64]
    episodes: NDArray[np.integer]

    def minus(self, other: Resampled) -> Resampled:
        """The difference of means over two parts of the same episodes, resampled together."""
        return Resampled(self.means - other.means, self.samples - other.samples, self.episodes + other.episodes)

    def root_over(self, other: Resampled) -> Resampled:
        """The root of the ratio of two means over the same episodes, such as of squared sizes, resampled together."""
        with np.errstate(invalid="ignore", divide="ignore"):  # nothing measured in a column: NaN
            return Resampled(np.sqrt(self.means / other.means), np.sqrt(self.samples / other.samples), self.episodes)

    def estimates(self) -> list[Estimate | None]:
        """With 95 % intervals; None for a column without a value."""
        found: list[Estimate | None] = [None] * len(self.means)
        for column in np.flatnonzero(np.isfinite(self.means)):
            low, high = np.nanquantile(self.samples[:, column], [0.025, 0.975])
            found[column] = Estimate(float(self.means[column]), float(low), float(high), int(self.episodes[column]))
        return found


def resample(values: NDArray[np.floating], seed: int = 0) -> Resampled:
    """Bootstrap over the episodes of ``(E, H)``; NaN: not measured in that episode.

    The same seed draws the same episodes for every table and for all its columns: an episode's steps stay together.
    """
    there = np.isfinite(values)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=RESAMPLES).astype(float)
    filled, counts = np.where(there, values, 0.0), there.sum(0)
    return Resampled(
        _divide(filled.sum(0), counts.astype(float)), _divide(draws @ filled, draws @ there.astype(float)), counts
    )


def bootstrap(values: NDArray[np.floating], seed: int = 0) -> list[Estimate | None]:
    """Mean over episodes for each column of ``(E, H)``, with its interval."""
    return resample(values, seed).estimates()


def _divide(sums: NDArray[np.floating], counts: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)

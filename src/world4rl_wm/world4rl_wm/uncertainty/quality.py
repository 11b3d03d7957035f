"""How well a disagreement tells real error: ranking, its interval, and the size of what it predicts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world4rl_wm.uncertainty.kind import UncertaintyMap
from world4rl_wm.uncertainty.replay import ReplayedErrors

USABLE_AUROC = 0.7
"""A disagreement that ranks worse is no sign of error: what rests on noise alone is not used then."""
RESAMPLES = 300


@dataclass(frozen=True)
class SignalQuality:
    """One kind of disagreement, its map, and how it did on held-out episodes.

    `auroc`: how often a wrong frame has more of it than a right one, with a 95 % bootstrap interval over episodes;
    `auroc_same_step`: only between frames of the same step, so that "late is worse" does not count;
    `spearman`: rank correlation with the error; `expected_error` and `real_error`: means [0..1 of the pixel range].
    """

    map: UncertaintyMap
    auroc: float
    auroc_ci95: tuple[float, float]
    auroc_same_step: float
    spearman: float
    expected_error: float
    real_error: float

    @property
    def usable(self) -> bool:
        return self.auroc >= USABLE_AUROC

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"usable": self.usable}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SignalQuality:
        """What `to_dict` made; ValueError, TypeError or KeyError where it is damaged."""
        known = {name: values[name] for name in cls.__dataclass_fields__}
        known["map"] = UncertaintyMap(**{name: tuple(numbers) for name, numbers in values["map"].items()})
        low, high = values["auroc_ci95"]
        if not np.isfinite([known["auroc"], low, high]).all():
            raise ValueError("auroc is no number")
        return cls(**known | {"auroc_ci95": (low, high)})


def measure(found: ReplayedErrors, signal: str, fitted: UncertaintyMap, wrong_from: float, seed: int) -> SignalQuality:
    """Quality of a signal on episodes that its map was not fitted on; an error of `wrong_from` or more is wrong.

    Raises:
        ValueError: no frame, or every frame, is wrong.
    """
    from scipy.stats import spearmanr  # takes a while to import

    score, inside = found.disagreement[signal], found.inside
    wrong = found.error >= wrong_from
    bad, frames = int(wrong[inside].sum()), int(inside.sum())
    if not 0 < bad < frames:
        raise ValueError(f"{bad} of {frames} held-out frames are wrong, which ranks nothing: give more episodes")
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(RESAMPLES):
        rows = rng.integers(len(score), size=len(score))
        resampled.append(auroc(score[rows][inside[rows]], wrong[rows][inside[rows]]))
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    expected = fitted.at(score[inside])
    return SignalQuality(
        map=fitted,
        auroc=auroc(score[inside], wrong[inside]),
        auroc_ci95=(float(low), float(high)),
        auroc_same_step=same_step_auroc(score, wrong, inside),
        spearman=float(spearmanr(score[inside], found.error[inside]).statistic),
        expected_error=float(expected.mean()),
        real_error=float(found.error[inside].mean()),
    )


def auroc(score: NDArray, wrong: NDArray) -> float:
    """Probability that a wrong frame has a higher score than a right one, ties counting half; NaN for one kind only."""
    positive, negative = int(wrong.sum()), int((~wrong).sum())
    return _pairs_won(score, wrong) / (positive * negative) if positive and negative else float("nan")


def same_step_auroc(score: NDArray, wrong: NDArray, inside: NDArray) -> float:
    """As `auroc`, over the pairs of frames of the same step (column) alone."""
    won, pairs = 0.0, 0
    for column in range(score.shape[1]):
        rows = inside[:, column]
        kind = wrong[rows, column]
        pairs += int(kind.sum()) * int((~kind).sum())
        won += _pairs_won(score[rows, column], kind)
    return won / pairs if pairs else float("nan")


def _pairs_won(score: NDArray, wrong: NDArray) -> float:
    from scipy.stats import rankdata

    positive = int(wrong.sum())
    return float(rankdata(score)[wrong].sum()) - positive * (positive + 1) / 2 if positive else 0.0

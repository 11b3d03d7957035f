"""What the uncertainty of an imagined step is: a kind that says how far it can be trusted, and the calibrated map."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


class UncertaintyKind(str, Enum):
    """What a roll-out's uncertainty says; the value is the sentence for people. All in [0..1 of the pixel range]."""

    NONE = (
        "not estimated (0): one world model cannot tell what it has not learned; "
        "add another, trained from another seed, and run `world4rl calibrate-uncertainty`"
    )
    DISAGREEMENT = (
        "how far the world models' dreams lie apart, uncalibrated: more is less certain, "
        "but how wrong the picture is is not known; run `world4rl calibrate-uncertainty`"
    )
    EXPECTED_ERROR = "expected mean absolute error of the picture, calibrated on held-out episodes"


@dataclass(frozen=True)
class UncertaintyMap:
    """From disagreement to expected error, never falling: linear between its points, constant below them.

    Above them the error grows in proportion: a dream that lies further off than all that was measured must not look
    like those.

    Both in [0..1 of the pixel range]; `disagreement` rises strictly.
    """

    disagreement: tuple[float, ...]
    error: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.asarray(self.disagreement, float), np.asarray(self.error, float)
        good = x.size and x.shape == y.shape and np.isfinite([x, y]).all()
        if not (good and (np.diff(x) > 0).all() and (np.diff(y) >= 0).all()):
            raise ValueError("a map of uncertainty needs as many errors as disagreements, both rising, all finite")

    def __call__(self, disagreement: Tensor) -> Tensor:
        """Expected error, of the same shape and on the same device."""
        return torch.as_tensor(self.at(disagreement.double().cpu().numpy())).to(disagreement)

    def at(self, disagreement: ArrayLike) -> NDArray:
        """The same for arrays."""
        x, last = np.asarray(disagreement, float), self.disagreement[-1]
        beyond = np.maximum(x / last, 1.0) if last > 0 else 1.0
        return np.minimum(np.interp(x, self.disagreement, self.error) * beyond, 1.0)

    @classmethod
    def fit(cls, disagreement: ArrayLike, error: ArrayLike, bins: int) -> UncertaintyMap:
        """Mean error of `bins` equally full bins of disagreement, made monotone by isotonic regression."""
        x, y = np.asarray(disagreement, float), np.asarray(error, float)
        order = np.argsort(x, kind="stable")
        parts = [part for part in np.array_split(order, bins) if part.size]
        middles, first = np.unique([x[part].mean() for part in parts], return_index=True)
        means = isotonic(np.array([y[part].mean() for part in parts])[first])
        return cls(tuple(middles.tolist()), tuple(means.tolist()))


def isotonic(values: NDArray) -> NDArray:
    """The never falling sequence that is nearest to `values` in least squares, by the min-max formula of Barlow et al.

    Written out because SciPy has it only from 1.12 on, and ROS distributions bring older ones.
    """
    n = len(values)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means = [[(sums[k + 1] - sums[j]) / (k + 1 - j) for k in range(j, n)] for j in range(n)]
    return np.array([max(min(means[j][i - j :]) for j in range(i + 1)) for i in range(n)])

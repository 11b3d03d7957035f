"""Does a series grow? A straight line's slope with an interval that knows that neighbouring samples are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_Z = 1.96


@dataclass(frozen=True)
class Trend:
    """Units of the values per hour, with a 95 % interval; `rise` is the line's rise over the series."""

    per_hour: float
    low: float
    high: float
    rise: float

    def grows(self, noise: float) -> bool:
        """Rises for certain, and by more than `noise`, in the values' unit."""
        return bool(self.low > 0 and self.rise > noise)


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Least squares; the interval from Newey and West's variance with a lag of a third root of the length times two.

    Raises ValueError below four samples.
    """
    t, y = np.asarray(times_s, float) / 3600.0, np.asarray(values, float)
    if len(t) < 4:
        raise ValueError(f"{len(t)} samples are too few for a trend: run longer or sample more often")
    x = t - t.mean()
    slope = float(x @ (y - y.mean()) / (x @ x))
    pull = x * (y - y.mean() - slope * x)
    variance = float(pull @ pull)
    lags = int(2 * len(t) ** (1 / 3))
    for lag in range(1, min(lags, len(t) - 1) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(pull[lag:] @ pull[:-lag])
    error = np.sqrt(max(variance, 0.0) * len(t) / (len(t) - 2)) / float(x @ x)
    return Trend(slope, slope - _Z * error, slope + _Z * error, slope * float(t[-1] - t[0]))

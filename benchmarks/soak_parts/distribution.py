"""Percentiles of a stream in constant memory: what the soak keeps of hours of messages must not look like a leak."""

from __future__ import annotations

import numpy as np

_WIDTH = 0.01  # of a bin, as a share of its value: no percentile is off by more
_LEAST, _MOST = 1e-3, 1e8


class Distribution:
    """Counts values [1e-3..1e8] in logarithmic bins; values outside count in the outermost ones."""

    def __init__(self) -> None:
        self._counts = np.zeros(int(np.log(_MOST / _LEAST) / np.log1p(_WIDTH)) + 1, np.int64)
        self._most = 0.0

    def add(self, value: float) -> None:
        at = int(np.log(max(value, _LEAST) / _LEAST) / np.log1p(_WIDTH))
        self._counts[min(at, len(self._counts) - 1)] += 1
        self._most = max(self._most, value)

    def percentiles(self) -> dict[str, float]:
        """Count, p50, p99 and the most."""
        count = int(self._counts.sum())
        if not count:
            return {"count": 0}
        ranks = np.searchsorted(self._counts.cumsum(), np.array([0.5, 0.99]) * count)
        p50, p99 = _LEAST * (1 + _WIDTH) ** (ranks + 0.5)
        most = round(self._most, 2)
        return {
            "count": count,
            "p50": min(round(float(p50), 2), most),
            "p99": min(round(float(p99), 2), most),
            "max": most,
        }


class Arrivals:
    """When messages of one topic came: how many, and the time between two [ms]."""

    def __init__(self) -> None:
        self.count, self.gaps_ms = 0, Distribution()
        self._last_s = 0.0

    def came(self, now_s: float) -> None:
        if self.count:
            self.gaps_ms.add(1e3 * (now_s - self._last_s))
        self.count, self._last_s = self.count + 1, now_s

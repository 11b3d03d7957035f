"""How fast this machine dreams, learned from its own dreams."""

from __future__ import annotations

import bisect

NEWEST_SHARE = 0.5  # of a new measurement in the average: a machine's load changes


class DreamPace:
    """Seconds that one step of S dreams takes here.

    Many dreams side by side cost less than one after the other, on a GPU far less, so that one number of frames per
    second would not do. Measurements are kept by the order of size of S, lines lie between them.
    """

    def __init__(self) -> None:
        self._measured: dict[int, tuple[int, float]] = {}  # number of binary digits of S -> S and seconds per step

    def forget(self) -> None:
        """Start again, with other models."""
        self._measured.clear()

    def measured(self, samples: int, step_s: float) -> None:
        """One step of `samples` dreams took `step_s` on average."""
        digits = samples.bit_length()
        if digits in self._measured:
            before, seconds = self._measured[digits]
            step_s = NEWEST_SHARE * step_s + (1 - NEWEST_SHARE) * seconds * samples / before
        self._measured[digits] = (samples, step_s)

    def step_seconds(self, samples: int) -> float | None:
        """What one step of `samples` dreams will take [s]; None where nothing was measured yet."""
        known = sorted(self._measured.values())
        if not known:
            return None
        at = bisect.bisect_left(known, (samples, 0.0))
        if at == 0:
            return known[0][1]  # fewer dreams take no longer
        if len(known) == 1:
            return known[0][1] * samples / known[0][0]  # too long rather than too short
        (low, low_s), (high, high_s) = known[at - 1 : at + 1] if at < len(known) else known[-2:]
        slope = max(0.0, (high_s - low_s) / (high - low))
        return low_s + slope * (samples - low)

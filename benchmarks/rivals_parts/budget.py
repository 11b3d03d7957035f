"""What a rival may spend: seconds that this process computes, however busy the machine is."""

from __future__ import annotations

import time

SCHEDULE = 1_000_000
"""Schedules of learning rate and roll-outs count millionths of the budget instead of steps."""


class Budget:
    """Runs from the moment it is made; `spent` [s of CPU] are what was computed for the rival before."""

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        self.seconds = seconds
        self._start = time.process_time() - spent

    @property
    def spent(self) -> float:
        """Seconds of CPU."""
        return time.process_time() - self._start

    @property
    def over(self) -> bool:
        return self.spent >= self.seconds

    @property
    def step(self) -> int:
        """Where the schedules stand, 0 to `SCHEDULE`."""
        return min(SCHEDULE, int(SCHEDULE * self.spent / self.seconds))

"""When the simulated arm moves on: with each new target (lockstep) or with the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class PacingConfig:
    """`lockstep`: after the observations of a period are out, wait for one new target, then advance one period.

    Waits `lockstep_timeout_s` of wall time while somebody drives the arm (a target came in the last period) and
    `idle_timeout_s` otherwise. Without lockstep, simulated time runs at `real_time_factor` times wall time; a late tick
    (drawing pictures can take longer than one) is made up for by the next ones, but by no more than `catch_up_s` of
    wall time, so that no burst follows a long pause.
    """

    lockstep: bool = True
    lockstep_timeout_s: float = 2.0
    idle_timeout_s: float = 0.1
    real_time_factor: float = 1.0
    catch_up_s: float = 0.1

    def __post_init__(self) -> None:
        for name in ("lockstep_timeout_s", "idle_timeout_s", "real_time_factor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


class Pacer:
    """Decides between two ticks how long to serve callbacks."""

    def __init__(self, config: PacingConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._config, self._now = config, now
        self._target_came = self._driven = False
        self._tick_at = now()

    def target_came(self) -> None:
        """A new target for the arm has arrived."""
        self._target_came = True

    def ticked(self, tick_s: float) -> None:
        """The simulator has advanced by `tick_s` and its observations are out."""
        self._driven, self._target_came = self._target_came, False
        wait = self._config.lockstep_timeout_s if self._driven else self._config.idle_timeout_s
        if self._config.lockstep:
            self._tick_at = self._now() + wait
        else:
            due = self._tick_at + tick_s / self._config.real_time_factor
            self._tick_at = max(due, self._now() - self._config.catch_up_s)

    def wait_s(self) -> float:
        """Wall seconds for which to go on serving callbacks; 0 when the next tick is due."""
        if self._config.lockstep and self._target_came:
            return 0.0
        return max(0.0, self._tick_at - self._now())

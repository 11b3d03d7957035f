"""When an episode ends, and whether it succeeded: the same rule in every simulated environment and on the graph."""

from __future__ import annotations

from typing import Any

PERIODS_AFTER_SUCCESS = 3  # control periods, kept so that success is seen on more than one frame


class EpisodeClock:
    """Counts control periods: an episode without success is truncated at `horizon`; one with is terminated
    `periods_after_success` periods after it began, past the horizon too, so that every success is seen to last."""

    def __init__(self, horizon: int, periods_after_success: int) -> None:
        self.horizon, self.periods_after_success = horizon, periods_after_success
        self.restart()

    def restart(self) -> None:
        """An episode begins."""
        self.steps = 0
        self.success_index: int | None = None  # first successful observation

    def tick(self, success: bool) -> tuple[bool, bool]:
        """One control period has passed and ended with `success` or not; returns terminated, truncated."""
        return self.at(self.steps + 1, success)

    def at(self, steps: int, success: bool) -> tuple[bool, bool]:
        """As `tick`, where `steps` control periods have passed in all: none, one or several since the last look."""
        self.steps = steps
        if success and self.success_index is None and steps <= self.horizon:
            self.success_index = steps
        if self.success_index is not None:
            return steps >= self.success_index + self.periods_after_success, False
        return False, steps >= self.horizon

    @property
    def info(self) -> dict[str, Any]:
        """ "success": the task was done in this episode; "success_index": first successful observation or None."""
        return {"success": self.success_index is not None, "success_index": self.success_index}

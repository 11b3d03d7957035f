"""How a gripper goal ends, with franka_gripper's rules: `move` waits for the width, `grasp` for the fingers to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

_REACHED_M = 0.004
_STOPPED_M = 0.0005  # movement in one period below which the fingers stand
_STOPPED_PERIODS = 2


@dataclass
class GripperGoal:
    """One goal of a width [m]; `inner` and `outer` are grasp's tolerances below and above it."""

    kind: Literal["move", "grasp", "homing"]
    width: float
    inner: float = 0.0
    outer: float = 0.0
    _last_width: float | None = field(default=None, init=False)
    _standing: int = field(default=0, init=False)

    def update(self, width: float) -> tuple[bool, str] | None:
        """Call once per control period with the measured width; (success, error) when the goal has ended.

        As on the robot, `move` to a width that an object blocks does not end by itself: `stop` ends it.
        """
        if self.kind != "grasp":
            return (True, "") if abs(width - self.width) <= _REACHED_M else None
        stands = self._last_width is not None and abs(width - self._last_width) < _STOPPED_M
        self._standing = self._standing + 1 if stands else 0
        self._last_width = width
        if self._standing < _STOPPED_PERIODS:
            return None
        if self.width - self.inner <= width <= self.width + self.outer:
            return True, ""
        return False, f"grasped {width:.3f} m, outside {self.width:.3f} -{self.inner:.3f} +{self.outer:.3f} m"

"""The way from one target to the next at a controller's own rate: straight line and slerp, never faster than allowed.

No ROS in here.
"""

from __future__ import annotations

import numpy as np

from world4rl_control import pose
from world4rl_control.pose import Pose


class TargetPath:
    """Each target is reached one control period after it was set, later where a speed limit asks for it."""

    def __init__(self, period_s: float, max_speed_m_s: float, max_speed_rad_s: float) -> None:
        self._period_s, self._metres_s, self._radians_s = period_s, max_speed_m_s, max_speed_rad_s
        self.clear()

    def clear(self) -> None:
        """Forget everything: the next path begins at a measured pose."""
        self._start: Pose | None = None
        self._move, self._turn = np.zeros(3), np.zeros(3)
        self._since_s, self._lasts_s = 0.0, 1.0

    def aim(self, target: Pose, measured: Pose, now_s: float) -> None:
        """Head for `target` from where the path is now, or from `measured` where there is no path yet."""
        start = self.at(now_s) or measured
        self._start, self._since_s = start, now_s
        self._move, self._turn = target[0] - start[0], pose.rotation_between(start[1], target[1])
        slowest = max(pose.length(self._move) / self._metres_s, pose.length(self._turn) / self._radians_s)
        self._lasts_s = max(self._period_s, slowest)

    def at(self, now_s: float) -> Pose | None:
        """Where the path is; None before the first target. A clock that started again stays at the start."""
        if self._start is None:
            return None
        part = min(1.0, max(0.0, (now_s - self._since_s) / self._lasts_s))
        return self._start[0] + part * self._move, pose.rotate_by(part * self._turn, self._start[1])

    def halt(self, now_s: float) -> None:
        """Stay where the path is now."""
        here = self.at(now_s)
        if here is not None:
            self._start, self._since_s = here, now_s
            self._move, self._turn = np.zeros(3), np.zeros(3)

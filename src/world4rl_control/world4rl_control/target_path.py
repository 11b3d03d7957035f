"""The way from one target to the next at a controller's own rate: straight line and slerp, never faster than allowed.

No ROS in here.
"""

from __future__ import annotations

import math

import numpy as np

from world4rl_control import pose
from world4rl_control.pose import Pose


class TargetPath:
    """Each target is reached one control period after it was set, later where a speed limit asks for it.

    A path goes on from where it was last asked for, by the time that passed since then on the clock of whoever asks.
    So no two answers are further apart than the limits allow, whatever the clocks of those who set targets say.
    """

    def __init__(self, period_s: float, max_speed_m_s: float, max_speed_rad_s: float) -> None:
        self._period_s, self._metres_s, self._radians_s = period_s, max_speed_m_s, max_speed_rad_s
        self.clear()

    def clear(self) -> None:
        """Forget everything: the next path begins at a measured pose."""
        self._start: Pose | None = None
        self._move, self._turn = np.zeros(3), np.zeros(3)
        self._part, self._lasts_s = 0.0, 1.0
        self._asked_s = math.inf  # until somebody asks no time passes

    def aim(self, target: Pose, measured: Pose) -> None:
        """Head for `target` from where the path is, or from `measured` where there is no path yet."""
        start = self._here or measured
        self._start, self._part = start, 0.0
        self._move, self._turn = target[0] - start[0], pose.rotation_between(start[1], target[1])
        slowest = max(pose.length(self._move) / self._metres_s, pose.length(self._turn) / self._radians_s)
        self._lasts_s = max(self._period_s, slowest)

    def at(self, now_s: float) -> Pose | None:
        """Go on, and say where the path is; None before the first target. No time passes where a clock goes back."""
        passed_s, self._asked_s = max(0.0, now_s - self._asked_s), now_s
        self._part = min(1.0, self._part + passed_s / self._lasts_s)
        return self._here

    def halt(self, now_s: float) -> None:
        """Stay where the path is."""
        self._asked_s = now_s
        if (here := self._here) is not None:
            self.aim(here, here)

    @property
    def _here(self) -> Pose | None:
        if self._start is None:
            return None
        return self._start[0] + self._part * self._move, pose.rotate_by(self._part * self._turn, self._start[1])

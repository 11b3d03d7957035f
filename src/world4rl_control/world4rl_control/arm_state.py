"""What the gate knows about the arm: measured pose and its age, gripper opening, robot mode. No ROS in here."""

from __future__ import annotations

import math

import numpy as np

MODES = {
    0: "other",
    1: "idle",
    2: "move",
    3: "guiding",
    4: "reflex",
    5: "user stopped",
    6: "automatic error recovery",
}
_MOVING_MODES = (1, 2)


class ArmState:
    """The newest of everything. Ages are by the time of arrival, so that clocks of two machines need not agree."""

    def __init__(self) -> None:
        self.position = np.zeros(3)  # [m], base frame
        self.quat = np.array((0.0, 0.0, 0.0, 1.0))  # xyzw
        self.gripper_width: float | None = None  # [m]; None until known
        self.mode: int | None = None  # None until the driver has told
        self._pose_s: float | None = None

    def see_pose(self, position: np.ndarray, quat: np.ndarray, now_s: float) -> None:
        """Take a measured pose; one that is not finite counts as none."""
        if np.isfinite(position).all() and 0.5 < float(quat @ quat) < 2.0:
            self.position, self.quat, self._pose_s = position, quat, now_s

    def see_fingers(self, positions: list[float]) -> None:
        """Take the two finger positions [m], each half the opening."""
        if len(positions) >= 2 and all(math.isfinite(value) for value in positions[:2]):
            self.gripper_width = float(positions[0] + positions[1])

    def pose_age(self, now_s: float) -> float:
        """Seconds since the last measured pose; infinite before the first. A clock that started again makes it 0."""
        return math.inf if self._pose_s is None else max(0.0, now_s - self._pose_s)

    @property
    def mode_fault(self) -> str:
        """Why the robot's mode forbids to move; empty when it does not, or when no mode is known."""
        if self.mode is None or self.mode in _MOVING_MODES:
            return ""
        return f"the robot is in mode {self.mode} ({MODES.get(self.mode, 'unknown')}): recover it, then call ~/enable"


class ClockWatch:
    """Notices when the node's clock stands still while real time goes on (a simulator that died or is paused)."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._clock_s: float | None = None
        self._moved_at_s = 0.0

    def stands_still(self, clock_s: float, steady_s: float) -> bool:
        """Call regularly with the node's clock and a steady clock [s]."""
        if clock_s != self._clock_s:
            self._clock_s, self._moved_at_s = clock_s, steady_s
        return steady_s - self._moved_at_s > self._timeout_s

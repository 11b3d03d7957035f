"""What the gate knows about the arm: measured pose and its age, gripper opening, robot mode. No ROS in here."""

from __future__ import annotations

import math

import numpy as np

from world4rl_control import pose

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
# Further than this between two poses no arm has gone: the measurement changed, not the arm (or it is another arm).
_JUMP_M, _JUMP_RAD = 0.1, 0.5
_FASTEST_M_S, _FASTEST_RAD_S = 2.0, 4.0


class ArmState:
    """The newest of everything. Ages are by the time of arrival, so that clocks of two machines need not agree."""

    def __init__(self) -> None:
        self.position = np.zeros(3)  # [m], base frame
        self.quat = np.array((0.0, 0.0, 0.0, 1.0))  # xyzw
        self.gripper_width: float | None = None  # [m]; None until known
        self.mode: int | None = None  # None until the driver has told
        self.joints: tuple[tuple[str, ...], np.ndarray] | None = None  # names and positions [rad]; None until known
        self.jump = ""  # how the measured pose jumped, until somebody empties this
        self._pose_s: float | None = None
        self._joints_s: float | None = None
        self._stamp_s = 0.0  # the newest of the poses that were taken since the clock began
        self._suspect = False  # the last pose was not taken, because it was too far away
        self._state_s: float | None = None  # when the driver's state came; None until it came once

    def see_pose(self, position: np.ndarray, quat: np.ndarray, now_s: float, stamp_s: float = 0.0) -> None:
        """Take a measured pose; one that is not finite counts as none.

        The first pose of a jump is not taken, so that whoever stops the arm then still has one to trust; the next is.
        """
        if not (np.isfinite(position).all() and 0.5 < float(quat @ quat) < 2.0):
            return
        if self._pose_s is not None and now_s < self._pose_s:
            self._pose_s, self._stamp_s = None, 0.0  # this clock began again; a stamp alone may be another publisher's
        if not self._suspect and self._jumped(position, quat, now_s, stamp_s):
            self._suspect = True
            return
        self._suspect = False
        self.position, self.quat, self._pose_s, self._stamp_s = position, quat, now_s, max(stamp_s, self._stamp_s)

    def _jumped(self, position: np.ndarray, quat: np.ndarray, now_s: float, stamp_s: float) -> bool:
        if self._pose_s is None:  # the first
            return False
        stamped_s = stamp_s - self._stamp_s if self._stamp_s > 0.0 else 0.0
        elapsed_s = max(now_s - self._pose_s, stamped_s)  # arrivals may bunch, stamps may be missing or another clock's
        metres = pose.length(position - self.position)
        radians = pose.length(pose.rotation_between(self.quat, quat))
        if metres <= _JUMP_M + _FASTEST_M_S * elapsed_s and radians <= _JUMP_RAD + _FASTEST_RAD_S * elapsed_s:
            return False
        self.jump = (
            f"the measured pose jumped by {metres:.2f} m and {radians:.2f} rad within {elapsed_s:.3f} s: "
            "look what publishes it, then call ~/enable"
        )
        return True

    def see_joints(self, names: tuple[str, ...], positions: np.ndarray, now_s: float) -> None:
        """Take measured joint positions [rad]; rubbish counts as none."""
        if names and len(names) == len(positions) and np.isfinite(positions).all():
            self.joints, self._joints_s = (names, positions), now_s

    def joints_age(self, now_s: float) -> float:
        """Seconds since the last measured joint positions; infinite before the first."""
        return math.inf if self._joints_s is None else max(0.0, now_s - self._joints_s)

    def see_state(self, now_s: float) -> None:
        """Note that the driver's state came, whatever is in it."""
        self._state_s = now_s

    def state_silence(self, now_s: float) -> float:
        """Seconds since the driver's state came; 0 where it never did (not every driver publishes it)."""
        return 0.0 if self._state_s is None else max(0.0, now_s - self._state_s)

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

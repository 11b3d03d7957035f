"""Backend of joint trajectory controllers: inverse kinematics here, joint positions out."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from world4rl_control.arm_state import ArmState
from world4rl_control.backend import JointCommand
from world4rl_control.pose import Pose

_FARTHEST_RAD = 0.5  # a joint further than this from where it is measured is a jump to another branch


class Kinematics(Protocol):
    """From joint positions (J,) [rad] to the pose of the controlled link in the base frame, and back."""

    names: tuple[str, ...]

    def forward(self, joints: np.ndarray) -> Pose:
        """Where the link is."""

    def inverse(self, target: Pose, start: np.ndarray) -> np.ndarray:
        """Joint positions near `start` that bring the link to the target. Raises ValueError when there are none."""


class JointTrajectory:
    """Each target becomes one point of a trajectory. Raises ValueError where the kinematics are not known yet."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long a point takes; the period in which targets come."""
        self._seconds = seconds
        self.kinematics: Kinematics | None = None  # known when the robot's description has come
        self._last: np.ndarray | None = None  # the elbow follows from where it was sent, not from where it sags

    def begin(self) -> None:
        self._last = None

    def follow(self, target: Pose, measured: Pose, arm: ArmState) -> JointCommand:
        if self.kinematics is None or arm.joints is None:
            raise ValueError("joint_trajectory: no robot description or no measured joints: is the driver running?")
        here = self.measured(arm)
        assert here is not None
        joints = self.kinematics.inverse(target, here if self._last is None else self._last)
        if float(np.abs(joints - here).max()) > _FARTHEST_RAD:
            raise ValueError(
                "joint_trajectory: the joints do not follow, or the arm is near a singularity: move it away"
            )
        self._last = joints
        return JointCommand(self.kinematics.names, joints, self._seconds)

    def hold(self) -> None:
        return None

    def stop(self, measured: Pose | None, arm: ArmState) -> JointCommand | None:
        self._last = None
        joints = None if measured is None else self.measured(arm)
        return None if joints is None or self.kinematics is None else JointCommand(self.kinematics.names, joints, 0.1)

    def measured(self, arm: ArmState) -> np.ndarray | None:
        """The measured positions in the kinematics' order; None where some are missing."""
        if self.kinematics is None or arm.joints is None:
            return None
        known = dict(zip(*arm.joints))
        if not all(name in known for name in self.kinematics.names):
            return None
        return np.array([known[name] for name in self.kinematics.names])

"""The frame that the motion controller moves, seen from the frame that the driver measures. No ROS in here.

The driver's pose is that of the end effector set in Desk; a controller may move another link. Targets are made in the
driver's frame, where limits and observations are, and leave in the controller's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from world4rl_control import pose
from world4rl_control.pose import Pose

_NONE: Pose = (np.zeros(3), np.array((0.0, 0.0, 0.0, 1.0)))
AGREE_M = 0.005
AGREE_RAD = math.radians(2.0)


class ControllerFrame:
    """Holds the controller's measured pose and, from enabling or a recovery on, its offset from the driver's."""

    def __init__(
        self, offset: tuple[ArrayLike, ArrayLike] | None = None, timeout_s: float = 0.25, topic: str = ""
    ) -> None:
        """`offset`: where the controller's frame lies in the driver's end-effector frame, by the contract.

        `topic`: where the controller tells its pose; empty where that comes of the measured joints.
        """
        given = _NONE if offset is None else offset
        self._expected: Pose = (np.asarray(given[0], float), pose.unit(np.asarray(given[1], float)))
        self._given, self._timeout_s, self._topic = offset is not None, timeout_s, topic
        self._measured: Pose | None = None
        self._seen_s = -math.inf
        self._offset = self._expected

    def see(self, position: np.ndarray, quat: np.ndarray, now_s: float) -> None:
        """Take a pose measured by the controller; one that is not usable counts as none."""
        if np.isfinite(position).all() and 0.5 < float(quat @ quat) < 2.0:
            self._measured, self._seen_s = (position, pose.unit(quat)), now_s

    def disagreement(self, driver: Pose, now_s: float) -> str:
        """Why no target may leave: no fresh pose of the controller, or another one than the driver's."""
        if self._measured is None or now_s - self._seen_s > self._timeout_s:
            return self._silent
        expected = _compose(driver, self._expected)
        metres = pose.length(self._measured[0] - expected[0])
        radians = pose.length(pose.rotation_between(expected[1], self._measured[1]))
        if metres <= AGREE_M and radians <= AGREE_RAD:
            return ""
        rule = "the contract's controller_offset" if self._given else "no controller_offset in the contract"
        return (
            f"the motion controller's pose and the driver's differ by {1000 * metres:.1f} mm and "
            f"{math.degrees(radians):.1f} degrees (allowed: 5 mm and 2 degrees, with {rule}): "
            "set the same end effector in both, or give the offset in the contract"
        )

    @property
    def _silent(self) -> str:
        if not self._topic:
            return "no fresh pose of the motion controller: are all its joints measured?"
        return (
            f"no fresh pose of the motion controller on {self._topic} (controller_pose_topic): start what publishes it "
            "(driver.launch.py starts crisp's pose_broadcaster), or leave this check out by controller:=external"
        )

    def fix(self, driver: Pose) -> None:
        """From now on targets keep the offset measured now, so that the first one starts where the controller is."""
        if self._measured is not None:
            back = pose.inverse(driver[1])
            away = pose.rotate(back, self._measured[0] - driver[0])
            self._offset = (away, pose.unit(pose.multiply(back, self._measured[1])))

    def out(self, driver: Pose) -> Pose:
        """A pose of the driver's frame as the pose of the controller's frame on the same arm."""
        return driver if self._offset is _NONE else _compose(driver, self._offset)


def _compose(base: Pose, offset: Pose) -> Pose:
    return base[0] + pose.rotate(base[1], offset[0]), pose.unit(pose.multiply(base[1], offset[1]))

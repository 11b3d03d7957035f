"""Builds an operator's scenes out of the simulated arm's topics."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from visualization_msgs.msg import Marker, MarkerArray

from .operator import Scene
from .sensors import GRIPPER_JOINTS_TOPIC, POSE_TOPIC, SUCCESS_MARKER, SUCCESS_TEXT
from .tasks import Pose

_KEPT = 64
_BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_ALL = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class SceneReader:
    """Holds the last scenes: objects, and a pose stamped no earlier. Callbacks and readers may be in two threads."""

    def __init__(self, node: Node) -> None:
        self.changed = threading.Condition()
        self._recent: deque[Scene] = deque(maxlen=_KEPT)
        self._waiting: deque[MarkerArray] = deque(maxlen=_KEPT)  # for the pose of their instant
        self._pose: PoseStamped | None = None
        self._gripper_width = 0.0
        node.create_subscription(PoseStamped, POSE_TOPIC, self._on_pose, _BEST_EFFORT)
        node.create_subscription(JointState, GRIPPER_JOINTS_TOPIC, self._on_fingers, _BEST_EFFORT)
        node.create_subscription(MarkerArray, "sim_arm/objects", self._on_markers, _ALL)

    def wait(self, after_ns: int, timeout_s: float) -> Scene | None:
        """The first scene stamped later than `after_ns`; None when none comes within `timeout_s` of wall time."""
        with self.changed:
            self.changed.wait_for(lambda: self._newest_ns() > after_ns, timeout_s)
            return next((scene for scene in self._recent if scene.stamp_ns > after_ns), None)

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest scene, 0 before the first."""
        with self.changed:
            return self._newest_ns()

    def _newest_ns(self) -> int:
        return self._recent[-1].stamp_ns if self._recent else 0

    def _on_fingers(self, message: JointState) -> None:
        self._gripper_width = float(sum(message.position))

    def _on_pose(self, message: PoseStamped) -> None:
        self._pose = message
        self._combine()

    def _on_markers(self, message: MarkerArray) -> None:
        if message.markers:
            self._waiting.append(message)
            self._combine()

    def _combine(self) -> None:
        """Every instant gets its scene; where its own pose was lost, the next one serves."""
        while self._pose is not None and self._waiting:
            if _stamp_ns(self._pose) < _stamp_ns(self._waiting[0].markers[0]):
                return
            scene = self._scene(self._waiting.popleft(), self._pose)
            with self.changed:
                self._recent.append(scene)
                self.changed.notify_all()

    def _scene(self, message: MarkerArray, pose: PoseStamped) -> Scene:
        by_name = {marker.ns: marker for marker in message.markers}
        success = by_name.pop(SUCCESS_MARKER, None)
        position = pose.pose.position
        return Scene(
            stamp_ns=_stamp_ns(message.markers[0]),
            position=np.array([position.x, position.y, position.z]),
            gripper_width=self._gripper_width,
            objects={name: _pose_of(marker) for name, marker in by_name.items()},
            success=success is not None and success.text == SUCCESS_TEXT,
        )


def _stamp_ns(message: PoseStamped | Marker) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def _pose_of(marker: Marker) -> Pose:
    p, q = marker.pose.position, marker.pose.orientation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])

"""The arm's side of the `arm_gate` node: subscriptions to everything that tells about the robot."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from world4rl_control.arm_control import ArmControl
from world4rl_control.instant import Instant
from world4rl_data.contract import TaskContract
from world4rl_data.message_types import message_class

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # franka_ros2's broadcasters are best effort
_DEFAULT_POSE = "/franka_robot_state_broadcaster/current_pose"
_STATE_PERIOD_S = 0.02  # the driver sends its big state message at 1 kHz; decode no more than this often


class ArmLinks:
    """Keeps an ArmControl's knowledge of the arm up to date; times are those of arrival.

    `on_fault` is called at once when a message may be a reason to stop.
    """

    def __init__(
        self,
        node: Node,
        control: ArmControl,
        gripper_namespace: str,
        now: Callable[[], Instant],
        on_fault: Callable[[], None],
    ) -> None:
        self._node, self._control, self._now, self._on_fault = node, control, now, on_fault
        self._decoded_s = 0.0
        self._raw: bytes | None = None  # the newest robot state, not decoded yet
        self._pose_topic = str(_value(node, "pose_topic") or pose_topic_of(control.contract))
        self._finger_topic = f"{gripper_namespace}/joint_states"
        node.create_subscription(PoseStamped, self._pose_topic, self._see_pose, _NEWEST)
        node.create_subscription(JointState, self._finger_topic, self._see_fingers, _NEWEST)
        self._watch_streams()
        self._watch_state()
        # Whose word counts for the frame that targets are in. A pose that the controller tells, or that comes of its
        # joints, must agree with the driver's in numbers, and then the driver's name for the frame says nothing.
        told_on = str(_value(node, "controller_pose_topic"))
        self._frame_topic, self._frame_id = self._pose_topic if control.frame is None else told_on, ""
        control.doubts.append(self._other_frame)
        if control.frame is not None and told_on:
            node.create_subscription(PoseStamped, told_on, self._see_controller, _NEWEST)

    def _watch_streams(self) -> None:
        """Raw, never decoded: of interest is only that something new came, and a picture has a megabyte."""
        for topic, kind in self._control.contract.observation_topics.items():
            if topic not in (self._pose_topic, self._finger_topic):
                heard = functools.partial(self._heard, topic)
                self._node.create_subscription(message_class(kind), topic, heard, _NEWEST, raw=True)

    def _watch_state(self) -> None:
        topic, doubts = _value(self._node, "robot_state_topic"), self._control.doubts
        if not topic:
            return
        try:
            from franka_msgs.msg import FrankaRobotState
        except ImportError:
            missing = "franka_msgs is not installed: the robot's mode is not watched"
            self._node.get_logger().info(missing)
            doubts.append(lambda _now: missing)
            return
        self._state_type = FrankaRobotState
        unheard = f"nothing has come on {topic} (robot_state_topic): the robot's mode is not watched"
        doubts.append(lambda _now: unheard if self._control.arm.mode is None else "")
        self._node.create_subscription(FrankaRobotState, topic, self._see_state, _NEWEST, raw=True)

    def tick(self) -> None:
        """Call regularly: decodes the last robot state where that came too soon after another."""
        if self._raw is None or time.monotonic() - self._decoded_s < _STATE_PERIOD_S:
            return
        raw, self._raw, self._decoded_s = self._raw, None, time.monotonic()
        self._control.arm.mode = int(deserialize_message(raw, self._state_type).robot_mode)
        self._on_fault()

    def _see_pose(self, message: PoseStamped) -> None:
        stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        self._control.arm.see_pose(*_arrays(message), self._now_s(), stamp_s)
        if self._control.frame is None:
            self._frame_id = message.header.frame_id
        self._heard(self._pose_topic)
        if self._control.arm.jump:
            self._on_fault()

    def _see_fingers(self, message: JointState) -> None:
        self._control.arm.see_fingers(list(message.position))
        self._heard(self._finger_topic)

    def _see_controller(self, message: PoseStamped) -> None:
        assert self._control.frame is not None
        self._control.frame.see(*_arrays(message), self._now_s())
        self._frame_id = message.header.frame_id

    def _other_frame(self, _now: Instant) -> str:
        """Names alone prove nothing: a driver may take the one of its description's root, which lies in the same place.
        So a sound set-up is not refused."""
        base = self._control.contract.base_frame
        if self._frame_id.lstrip("/") in ("", base.lstrip("/")):
            return ""
        return (
            f"{self._frame_topic} is in the frame {self._frame_id}, the contract's base_frame is {base}: make sure "
            "that both lie in the same place, else box, poses and directions of the contract are elsewhere"
        )

    def _see_state(self, raw: bytes) -> None:
        self._raw = raw
        self._control.arm.see_state(self._now_s())
        self.tick()

    def _heard(self, topic: str, _raw: bytes = b"") -> None:
        self._control.streams.heard(topic, self._now_s())

    def _now_s(self) -> float:
        return self._now().timing_s


def _arrays(message: PoseStamped) -> tuple[np.ndarray, np.ndarray]:
    p, q = message.pose.position, message.pose.orientation
    return np.array((p.x, p.y, p.z)), np.array((q.x, q.y, q.z, q.w))


def pose_topic_of(contract: TaskContract) -> str:
    """Where a contract has the arm's pose. Raises ValueError where that is not clear."""
    streams = [stream.topic for stream in contract.proprioception if stream.type == "geometry_msgs/msg/PoseStamped"]
    poses = list(dict.fromkeys(streams))
    if len(poses) > 1:  # an object's, perhaps: limits and targets would start there
        names = ", ".join(poses)
        raise ValueError(f"contract {contract.name} has several poses, {names}: say which is the arm's (pose_topic)")
    return poses[0] if poses else _DEFAULT_POSE


def _value(node: Node, name: str) -> Any:
    return node.get_parameter(name).value

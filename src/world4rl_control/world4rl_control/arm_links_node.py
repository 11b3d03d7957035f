"""The arm's side of the `arm_gate` node: subscriptions to the robot's state."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from world4rl_control.arm_state import ArmState
from world4rl_data.contract import TaskContract

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # franka_ros2's broadcasters are best effort
_DEFAULT_POSE = "/franka_robot_state_broadcaster/current_pose"
_STATE_PERIOD_S = 0.02  # the driver sends its big state message at 1 kHz; decode no more than this often


class ArmLinks:
    """Keeps an ArmState up to date from the robot's topics; times by the node's clock at arrival."""

    def __init__(
        self,
        node: Node,
        contract: TaskContract,
        state: ArmState,
        pose_topic: str,
        gripper_namespace: str,
        robot_state_topic: str,
        on_mode: Callable[[], None],
    ) -> None:
        self._node, self._state, self._on_mode = node, state, on_mode
        self._decoded_s = 0.0
        self._raw: bytes | None = None  # the newest robot state, not decoded yet
        node.create_subscription(PoseStamped, pose_topic or _pose_topic(contract), self._see_pose, _NEWEST)
        fingers = f"{gripper_namespace}/joint_states"
        node.create_subscription(JointState, fingers, lambda m: state.see_fingers(list(m.position)), _NEWEST)
        try:
            from franka_msgs.msg import FrankaRobotState
        except ImportError:
            node.get_logger().info("franka_msgs is not installed: the robot's mode is not watched")
        else:
            self._state_type = FrankaRobotState
            node.create_subscription(FrankaRobotState, robot_state_topic, self._see_state, _NEWEST, raw=True)

    def _see_pose(self, message: PoseStamped) -> None:
        p, q = message.pose.position, message.pose.orientation
        now_s = self._node.get_clock().now().nanoseconds * 1e-9
        self._state.see_pose(np.array((p.x, p.y, p.z)), np.array((q.x, q.y, q.z, q.w)), now_s)

    def tick(self) -> None:
        """Call regularly: decodes the last robot state where that came too soon after another."""
        if self._raw is None or time.monotonic() - self._decoded_s < _STATE_PERIOD_S:
            return
        raw, self._raw, self._decoded_s = self._raw, None, time.monotonic()
        self._state.mode = int(deserialize_message(raw, self._state_type).robot_mode)
        self._on_mode()

    def _see_state(self, raw: bytes) -> None:
        self._raw = raw
        self.tick()


def _pose_topic(contract: TaskContract) -> str:
    poses = [stream.topic for stream in contract.proprioception if stream.type == "geometry_msgs/msg/PoseStamped"]
    return poses[0] if poses else _DEFAULT_POSE

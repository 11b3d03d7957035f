"""What the backend joint_trajectory needs of the graph: the robot's description and its measured joints."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from world4rl_control.arm_control import ArmControl
from world4rl_control.instant import Instant
from world4rl_control.joint_trajectory import JointTrajectory
from world4rl_control.pin_kinematics import PinKinematics
from world4rl_control.silence import Confirmed
from world4rl_data.parameter_messages import describe

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_PARAMETERS: dict[str, tuple[Any, str]] = {
    "robot_description_topic": (
        "/robot_description",
        "joint_trajectory only: the robot's URDF, std_msgs/String, latched.",
    ),
    "tip_link": ("fr3_hand_tcp", "joint_trajectory only: the link of that description that targets are for."),
    "joint_states_topic": (
        "/franka_robot_state_broadcaster/measured_joint_states",
        "joint_trajectory only: measured joint positions, sensor_msgs/JointState.",
    ),
}


def declare_arm_model(node: Node) -> None:
    """Declare the parameters, whichever backend is used, so that a parameter file may always name them."""
    for name, (value, text) in _PARAMETERS.items():
        node.declare_parameter(name, value, describe(text))


class ArmModel:
    """Keeps the backend's kinematics and the controller's pose, by forward kinematics of the measured joints."""

    def __init__(self, node: Node, control: ArmControl, backend: JointTrajectory, now: Callable[[], Instant]) -> None:
        self._node, self._control, self._backend, self._now = node, control, backend, now
        self.problem = "no robot description has come yet: is robot_state_publisher running?"
        topic = node.get_parameter("robot_description_topic").value
        node.create_subscription(String, topic, self._on_description, _LATCHED)
        node.create_subscription(JointState, node.get_parameter("joint_states_topic").value, self._on_joints, _NEWEST)
        control.requirements.insert(0, lambda _now: self.problem)
        control.silences.append(Confirmed(self._joints_lost))

    def _on_description(self, message: String) -> None:
        link, base = self._node.get_parameter("tip_link").value, self._control.contract.base_frame
        try:
            self._backend.kinematics, self.problem = PinKinematics(message.data, link, base), ""
        except ValueError as error:  # also what Pinocchio raises for text that is no URDF
            self.problem = str(error)
            self._node.get_logger().error(self.problem)

    def _on_joints(self, message: JointState) -> None:
        now_s, arm = self._now().timing_s, self._control.arm
        arm.see_joints(tuple(message.name), np.array(message.position, float), now_s)
        joints = self._backend.measured(arm)
        if joints is not None and self._backend.kinematics is not None and self._control.frame is not None:
            self._control.frame.see(*self._backend.kinematics.forward(joints), now_s)

    def _joints_lost(self, now: Instant) -> str:
        age_s, limit_s = self._control.arm.joints_age(now.timing_s), self._control.config.driver_timeout_s
        if age_s <= limit_s or math.isinf(age_s):  # none yet: the controller's pose is missing then
            return ""
        return f"driver lost: no measured joints for more than {limit_s:g} s: restart it, then call ~/enable"

"""What the simulated arm publishes: franka_ros2's state topics, camera pictures, objects and success."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Header
from visualization_msgs.msg import Marker, MarkerArray

from world4rl_data.contract import ContractError, TaskContract
from world4rl_data.image_messages import rgb8_message

from .arm import SimArm
from .sensors import (
    ARM_JOINT_NAMES,
    FINGER_JOINT_NAMES,
    GRIPPER_JOINTS_TOPIC,
    JOINTS_TOPIC,
    MEASURED_JOINTS_TOPIC,
    POSE_TOPIC,
    ROBOT_STATE_TOPIC,
    SUCCESS_MARKER,
    SUCCESS_TEXT,
)
from .tasks import Pose as ObjectPose

try:
    from franka_msgs.msg import FrankaRobotState
except ImportError:  # optional: only robot_state needs it
    FrankaRobotState = None

_SENSOR_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # franka_ros2's broadcaster
_RELIABLE_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_MODE_MOVE = 2


class SimPublishers:
    """Publishes one instant: the clock first and the pictures last, so who waits for the pictures has it all."""

    def __init__(self, node: Node, contract: TaskContract, arm: SimArm) -> None:
        self._arm, self._contract = arm, contract
        wrong = [stream.name for stream in contract.images if not stream.type.endswith("/Image")]
        if wrong:
            raise ContractError(f"the simulated arm has raw images only, contract '{contract.name}' wants {wrong}")
        self._clock = node.create_publisher(Clock, "/clock", _RELIABLE_QOS)
        self._pose = node.create_publisher(PoseStamped, POSE_TOPIC, _SENSOR_QOS)
        self._measured = node.create_publisher(JointState, MEASURED_JOINTS_TOPIC, _SENSOR_QOS)
        self._joints = node.create_publisher(JointState, JOINTS_TOPIC, 10)
        self._gripper = node.create_publisher(JointState, GRIPPER_JOINTS_TOPIC, _RELIABLE_QOS)
        self._objects = node.create_publisher(MarkerArray, "~/objects", _RELIABLE_QOS)
        self._success = node.create_publisher(Bool, "~/success", _RELIABLE_QOS)
        self._images = {s.name: node.create_publisher(Image, s.topic, _RELIABLE_QOS) for s in contract.images}
        self._state = None
        if FrankaRobotState is not None:
            self._state = node.create_publisher(FrankaRobotState, ROBOT_STATE_TOPIC, _RELIABLE_QOS)

    def publish(self, stamp_ns: int, with_images: bool) -> None:
        """Everything that is sensed at `stamp_ns`; pictures, objects and success once per control period."""
        stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
        header = Header(stamp=stamp, frame_id=self._contract.base_frame)
        self._clock.publish(Clock(clock=stamp))
        pose = PoseStamped(header=header, pose=pose_message(self._arm.pose))
        self._pose.publish(pose)
        finger = self._arm.gripper_width / 2  # each finger stands at half the width
        joints = _joint_state(header, ARM_JOINT_NAMES, self._arm.joint_positions, self._arm.joint_velocities)
        fingers = _joint_state(header, FINGER_JOINT_NAMES, np.array([finger, finger]))
        self._measured.publish(joints)
        self._gripper.publish(fingers)
        self._joints.publish(
            _joint_state(
                header,
                ARM_JOINT_NAMES + FINGER_JOINT_NAMES,
                np.append(self._arm.joint_positions, [finger, finger]),
                np.append(self._arm.joint_velocities, [0.0, 0.0]),
            )
        )
        if self._state is not None:
            state = FrankaRobotState(header=header, measured_joint_state=joints, o_t_ee=pose, robot_mode=_MODE_MOVE)
            state.time = stamp_ns / 1e9
            self._state.publish(state)
        if with_images:
            self._publish_scene(header, stamp)

    def _publish_scene(self, header: Header, stamp: Time) -> None:
        self._success.publish(Bool(data=self._arm.success))
        markers = [_marker(header, name, pose) for name, pose in self._arm.objects.items()]
        markers.append(_success_marker(header, self._arm.success))
        self._objects.publish(MarkerArray(markers=markers))
        for name, publisher in self._images.items():
            image = rgb8_message(self._arm.render(name))
            image.header = Header(stamp=stamp, frame_id=f"{name}_camera_color_optical_frame")
            publisher.publish(image)


def pose_message(pose: ObjectPose) -> Pose:
    """geometry_msgs Pose of (xyz, quaternion xyzw)."""
    message = Pose()
    for axis, value in zip("xyz", pose[0], strict=True):
        setattr(message.position, axis, float(value))
    for axis, value in zip("xyzw", pose[1], strict=True):
        setattr(message.orientation, axis, float(value))
    return message


def _joint_state(header: Header, names: Any, positions: np.ndarray, velocities: np.ndarray | None = None) -> JointState:
    message = JointState(header=header, name=list(names), position=positions.tolist())
    if velocities is not None:
        message.velocity = velocities.tolist()
    return message


def _marker(header: Header, name: str, pose: ObjectPose) -> Marker:
    marker = Marker(header=header, ns=name, id=0, type=Marker.SPHERE, action=Marker.ADD, pose=pose_message(pose))
    marker.scale.x = marker.scale.y = marker.scale.z = 0.02
    marker.color.r = marker.color.a = 1.0
    return marker


def _success_marker(header: Header, success: bool) -> Marker:
    """Success with a stamp, beside the objects of the same instant; RViz writes it over the table."""
    marker = Marker(header=header, ns=SUCCESS_MARKER, id=0, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
    marker.pose.position.x, marker.pose.position.z, marker.pose.orientation.w = 0.5, 0.6, 1.0
    marker.scale.z = 0.05
    marker.color.g = marker.color.a = 1.0
    marker.text = SUCCESS_TEXT if success else " "  # RViz complains about an empty text
    return marker

"""The arm's state in the shape of franka_ros2's messages: a contract's fields read the same with and without ROS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from world4rl_data.contract import ProprioStream
from world4rl_data.observation import read_field, stack_proprio

from .arm import SimArm

POSE_TOPIC = "/franka_robot_state_broadcaster/current_pose"
MEASURED_JOINTS_TOPIC = "/franka_robot_state_broadcaster/measured_joint_states"
ROBOT_STATE_TOPIC = "/franka_robot_state_broadcaster/robot_state"
JOINTS_TOPIC = "/joint_states"
GRIPPER_JOINTS_TOPIC = "/franka_gripper/joint_states"
SUCCESS_MARKER, SUCCESS_TEXT = "success", "success"  # in ~/objects: the marker whose text tells success
ARM_JOINT_NAMES = tuple(f"fr3_joint{i}" for i in range(1, 8))
FINGER_JOINT_NAMES = ("fr3_finger_joint1", "fr3_finger_joint2")


def sensor_messages(arm: SimArm) -> dict[str, Any]:
    """topic -> object with the message's fields (no header), in m and rad."""
    position, quat = arm.pose
    pose = SimpleNamespace(
        position=SimpleNamespace(**dict(zip("xyz", map(float, position), strict=True))),
        orientation=SimpleNamespace(**dict(zip("xyzw", map(float, quat), strict=True))),
    )
    joints = SimpleNamespace(
        name=list(ARM_JOINT_NAMES), position=arm.joint_positions.tolist(), velocity=arm.joint_velocities.tolist()
    )
    finger = arm.gripper_width / 2  # each finger stands at half the width
    return {
        POSE_TOPIC: SimpleNamespace(pose=pose),
        MEASURED_JOINTS_TOPIC: joints,
        JOINTS_TOPIC: joints,
        GRIPPER_JOINTS_TOPIC: SimpleNamespace(name=list(FINGER_JOINT_NAMES), position=[finger, finger]),
    }


def read_proprio(arm: SimArm, streams: tuple[ProprioStream, ...]) -> np.ndarray:
    """float32 (P,): the streams' fields in contract order. Raises ValueError for a topic that the arm lacks."""
    messages = sensor_messages(arm)
    missing = [stream.topic for stream in streams if stream.topic not in messages]
    if missing:
        raise ValueError(f"the simulated arm does not publish {', '.join(missing)}: it has {', '.join(messages)}")
    return stack_proprio(read_field(messages[stream.topic], field) for stream in streams for field in stream.fields)

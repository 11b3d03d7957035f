"""Double of franka_ros2's franka.launch.py (3.4.0): its arguments with their defaults; it writes down their values."""

import json
import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription

ARGUMENTS = {
    "robot_type": "",
    "arm_prefix": "",
    "namespace": "",
    "robot_ip": "172.16.0.3",
    "load_gripper": "false",
    "use_fake_hardware": "false",
    "fake_sensor_commands": "false",
    "joint_state_rate": "30",
    "load_franka_robot_state_broadcaster": "true",
    "controllers_yaml": "franka_bringup's own",
}


def generate_launch_description() -> LaunchDescription:
    """What an include of it calls."""
    declared = [DeclareLaunchArgument(name, default_value=value) for name, value in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_note)])


def _note(context):
    values = {name: context.launch_configurations[name] for name in ARGUMENTS}
    (Path(os.environ["PARITY_OUT"]) / "driver.json").write_text(json.dumps(values))

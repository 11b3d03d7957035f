"""Double of realsense2_camera's rs_launch.py (4.55): some of its arguments with their defaults; it writes them down."""

import json
import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription

ARGUMENTS = {
    "camera_name": "camera",
    "camera_namespace": "camera",
    "serial_no": "''",
    "rgb_camera.color_profile": "0,0,0",
    "rgb_camera.color_format": "RGB8",
    "enable_color": "true",
    "enable_depth": "true",
    "log_level": "info",
}


def generate_launch_description() -> LaunchDescription:
    """What an include of it calls."""
    declared = [DeclareLaunchArgument(name, default_value=value) for name, value in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_note)])


def _note(context):
    values = {name: context.launch_configurations[name] for name in ARGUMENTS}
    (Path(os.environ["PARITY_OUT"]) / f"{values['camera_namespace']}.json").write_text(json.dumps(values))

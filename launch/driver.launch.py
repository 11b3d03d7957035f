"""Only the robot's side: driver, motion controller and cameras, on a real-time machine of its own.

ros2 launch world4rl_bringup driver.launch.py --show-args
"""

from launch import LaunchDescription
from world4rl_bringup.launch_actions import launch_description


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` calls; nodes and arguments: world4rl_bringup.graph, mode driver."""
    return launch_description("driver")

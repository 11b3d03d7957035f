"""A real Franka on the ROS graph: driver, safety gate, recorder, policy and imagination.

ros2 launch world4rl_bringup real_arm.launch.py --show-args
"""

from launch import LaunchDescription
from world4rl_bringup.launch_actions import launch_description


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` calls; nodes and arguments: world4rl_bringup.graph, mode real_arm."""
    return launch_description("real_arm")

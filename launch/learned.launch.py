"""Only policy and imagination, on a machine of their own beside the one of arm and gate.

ros2 launch world4rl_bringup learned.launch.py --show-args
"""

from launch import LaunchDescription
from world4rl_bringup.launch_actions import launch_description


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` calls; nodes and arguments: world4rl_bringup.graph, mode learned."""
    return launch_description("learned")

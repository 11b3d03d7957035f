"""Only the imagination node, for dreams from given frames or live cameras.

ros2 launch world4rl_bringup imagine.launch.py --show-args
"""

from launch import LaunchDescription
from world4rl_bringup.launch_actions import launch_description


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` calls; nodes and arguments: world4rl_bringup.graph, mode imagine."""
    return launch_description("imagine")

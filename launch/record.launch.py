"""Only the recorder, beside a graph that runs already.

ros2 launch world4rl_bringup record.launch.py --show-args
"""

from launch import LaunchDescription
from world4rl_bringup.launch_actions import launch_description


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` calls; nodes and arguments: world4rl_bringup.graph, mode record."""
    return launch_description("record")

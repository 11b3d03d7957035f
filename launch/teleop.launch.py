"""A human operator beside a graph that runs already: the device's driver and the teleop node.

ros2 launch world4rl_bringup teleop.launch.py --show-args
"""

from launch import LaunchDescription
from world4rl_bringup.launch_actions import launch_description


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` calls; nodes and arguments: world4rl_bringup.graph, mode teleop."""
    return launch_description("teleop")

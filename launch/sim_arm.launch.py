"""The simulated arm on the ROS graph: simulator, safety gate, recorder, and the learned nodes when asked for.

ros2 launch world4rl_bringup sim_arm.launch.py --show-args
"""

from launch import LaunchDescription
from world4rl_bringup.launch_actions import launch_description


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` calls; nodes and arguments: world4rl_bringup.graph, mode sim_arm."""
    return launch_description("sim_arm")

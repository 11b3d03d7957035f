"""Real episodes: simulators, what acts in them, and episodes on the ROS graph."""

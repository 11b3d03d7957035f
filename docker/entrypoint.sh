#!/usr/bin/env bash
# Sources ROS and World4RL, then runs the command; signals go to the command itself.
set -eo pipefail
source "/opt/ros/$ROS_DISTRO/setup.bash"
source "$WORLD4RL_SETUP"
exec "$@"

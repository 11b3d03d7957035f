#!/usr/bin/env bash
# The robot's side on a machine with ROS 2 Jazzy: franka_ros2, crisp_controllers, and what `driver.launch.py` needs of ours.
# docker/driver.Dockerfile runs this too. Needs ROS sourced, git, vcs, rosdep and colcon; rosdep asks for sudo.
#   install_driver.sh WORKSPACE    afterwards: source WORKSPACE/install/setup.bash
# Our other launch files need Python packages that no apt has: make setup && source scripts/env.sh on top of that.
set -euo pipefail
workspace=$(realpath -m "${1:?name a workspace folder}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FRANKA_ROS2=${FRANKA_ROS2:-v3.4.0}
CRISP_CONTROLLERS=${CRISP_CONTROLLERS:-v1.0.0}
[ "${ROS_DISTRO:-}" = jazzy ] || {
  echo "franka_ros2 $FRANKA_ROS2 is for Jazzy, this shell has '${ROS_DISTRO:-no ROS}': source /opt/ros/jazzy/setup.bash" >&2
  exit 1
}

clone() {  # URL, tag, folder
  [ -d "$3" ] || git -c advice.detachedHead=false clone -q --depth 1 --branch "$2" "$1" "$3"
}
clone https://github.com/frankarobotics/franka_ros2.git "$FRANKA_ROS2" "$workspace/src/franka_ros2"
clone https://github.com/utiasDSL/crisp_controllers.git "$CRISP_CONTROLLERS" "$workspace/src/crisp_controllers"
vcs import --recursive --skip-existing "$workspace/src" <"$workspace/src/franka_ros2/dependency.repos"
# franka_ros2 patches ros2_control and says so; a second run finds the patch in place.
patch=$workspace/src/franka_ros2/patches/manage_overruns.patch
git -C "$workspace/src/ros2_control" apply --reverse --check "$patch" 2>/dev/null ||
  git -C "$workspace/src/ros2_control" apply "$patch"

rosdep update --rosdistro "$ROS_DISTRO"
rosdep install --from-paths "$workspace/src" "$here/src/world4rl_bringup" --ignore-src --rosdistro "$ROS_DISTRO" -y \
  --skip-keys "zed_wrapper world4rl_control world4rl_data world4rl_interfaces world4rl_policy world4rl_sim world4rl_wm"

cd "$workspace"
colcon build --packages-up-to franka_bringup franka_gripper franka_robot_state_broadcaster crisp_controllers \
  --cmake-args -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF
colcon build --base-paths "$here/src" --cmake-args -DBUILD_TESTING=OFF --packages-select world4rl_interfaces world4rl_data \
  world4rl_sim world4rl_control world4rl_bringup

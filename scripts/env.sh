# Source this to work by hand: the virtual environment, the ROS of this workspace, and headless rendering.
#   source scripts/env.sh && world4rl --help
_world4rl_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [ ! -f "$_world4rl_root/install/setup.bash" ] || [ ! -f "$_world4rl_root/.venv/bin/activate" ]; then
  echo "World4RL is not set up yet: run 'make setup' in $_world4rl_root" >&2
  unset _world4rl_root
  return 1 2>/dev/null || exit 1
fi
source "$_world4rl_root/.venv/bin/activate"
if [ -z "${ROS_DISTRO:-}" ]; then  # ROS from wheels: the environment is its ament prefix
  # The wheels put the library path in an order of chance: of two builds of our messages the other's may be taken, and
  # fields get lost without a word. What another workspace has of the same name must not be there.
  _world4rl_libraries=
  while IFS= read -r _world4rl_folder; do
    for _world4rl_ours in "$_world4rl_root"/install/*/lib/*__rosidl_generator_c.so; do
      [ -e "$_world4rl_folder/${_world4rl_ours##*/}" ] && continue 2
    done
    _world4rl_libraries="$_world4rl_libraries${_world4rl_libraries:+:}$_world4rl_folder"
  done < <(tr ':' '\n' <<<"${LD_LIBRARY_PATH:-}")
  export LD_LIBRARY_PATH="$_world4rl_libraries"
  unset _world4rl_libraries _world4rl_folder _world4rl_ours
  case ":${AMENT_PREFIX_PATH:-}:" in
    *":$VIRTUAL_ENV:"*) ;;
    *) export AMENT_PREFIX_PATH="$VIRTUAL_ENV${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}" ;;
  esac
fi
COLCON_CURRENT_PREFIX="" source "$_world4rl_root/install/setup.bash"
unset _world4rl_root

#!/usr/bin/env bash
# Everything between a clean clone and a running World4RL; `make setup` calls it, and so do demo, test and lint.
# Each stage leaves a stamp with the hash of what it was made from, and is skipped while that hash holds.
#   setup.sh [lint]    lint: only the environment, without building the workspace
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3}
VENV=$PWD/.venv
STAMPS=$VENV/.stamps
ROS_KIND=${ROS_DISTRO:-wheels}  # a sourced ROS sets ROS_DISTRO

hash_of() { cat "$@" | sha256sum | cut -c1-16; }
fresh() { [ "$(cat "$STAMPS/$1" 2>/dev/null || true)" = "$2" ]; }
stamp() { mkdir -p "$STAMPS" && echo "$2" >"$STAMPS/$1"; }
say() { echo "[setup] $*"; }

check_python() {
  "$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    echo "World4RL needs Python 3.10 to 3.13; $PYTHON is $("$PYTHON" -V). Name another: make PYTHON=python3.12" >&2
    exit 1
  }
}

make_venv() {
  if [ -f "$STAMPS/ros" ] && ! fresh ros "$ROS_KIND"; then
    echo "The environment in .venv was made for ROS '$(cat "$STAMPS/ros")', this shell has '$ROS_KIND'." >&2
    echo "Source the ROS it was made for (none for 'wheels'), or start afresh: make clean" >&2
    exit 1
  fi
  fresh ros "$ROS_KIND" && return
  check_python
  local options=()
  # With a ROS of the machine, its rclpy and messages must stay importable.
  [ "$ROS_KIND" = wheels ] || options+=(--system-site-packages)
  say "creating .venv with $("$PYTHON" -V) for ROS '$ROS_KIND'"
  "$PYTHON" -m venv --clear "${options[@]}" "$VENV"
  touch "$VENV/COLCON_IGNORE"  # colcon must not look for packages in there
  stamp ros "$ROS_KIND"
}

# The messages of an apt-installed ROS are compiled against the system's NumPy: the environment must keep that NumPy, and
# what is built on it must follow. Prints the file of constraints to use.
constraints() {
  if [ "$ROS_KIND" = wheels ]; then
    echo constraints.txt
    return
  fi
  local file=$VENV/constraints.txt
  grep -Ev '^(numpy|scipy|matplotlib|contourpy|opencv-python-headless|setuptools|PyYAML|ros-[a-z-]+)==' constraints.txt >"$file"
  "$VENV/bin/python" -c 'import numpy; print(f"numpy=={numpy.__version__}")' >>"$file"
  echo "setuptools<80" >>"$file"
  echo "$file"
}

install_python_packages() {
  local files=(scripts/requirements.txt scripts/requirements-dev.txt) options=() file
  [ "$ROS_KIND" = wheels ] && files+=(scripts/requirements-ros.txt)
  local hash
  hash=$(hash_of constraints.txt "${files[@]}" scripts/fix_cmake_exports.py)
  fresh python "$hash" && return
  say "installing Python packages (the first time takes some minutes)"
  for file in "${files[@]}"; do options+=(-r "$file"); done
  [ -n "${TORCH_INDEX:-}" ] && options+=(--extra-index-url "$TORCH_INDEX")
  local pinned
  pinned=$(constraints)
  # On Python 3.10 not every version is named, and the pip that comes with it tries old ones for ever.
  if [ "$("$VENV/bin/python" -c 'import sys; print(sys.version_info.minor)')" = 10 ]; then
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check "pip>=24"
  fi
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check -c "$pinned" "${options[@]}"
  # gym-hil gives the Panda's model; what it depends on drives input devices and is not needed.
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check -c "$pinned" --no-deps gym-hil
  if [ "$ROS_KIND" = wheels ]; then
    "$VENV/bin/python" scripts/fix_cmake_exports.py
  elif ! command -v colcon >/dev/null; then
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check -c "$pinned" colcon-common-extensions
  fi
  stamp python "$hash"
}

# Names of the stand-ins in tests/overlay whose real package is in a workspace or a ROS that this shell has sourced.
real_packages() {
  local prefix name
  for prefix in $(tr ':' ' ' <<<"${AMENT_PREFIX_PATH:-}"); do
    case $prefix in "$PWD"/*) continue ;; esac
    for name in $(basename -a tests/overlay/*/); do
      if [ -d "$prefix/share/$name" ]; then echo "$name"; fi
    done
  done | sort -u
}

# Code is linked, not copied (--symlink-install): edits to Python files count at once, only these need a new build.
build_inputs() {
  find src tests/overlay -type f \( -name package.xml -o -name setup.py -o -name setup.cfg -o -name CMakeLists.txt \
    -o -name '*.msg' -o -name '*.srv' -o -name '*.action' \) -print0 | sort -z | xargs -0 cat
  find -L src/*/{launch,params,config,rviz,foxglove,sros2,resource} -type f 2>/dev/null | sort  # installed by name
  real_packages
  cat "$STAMPS/python"
  pwd  # an environment and a build know their own place
}

build_workspace() {
  local hash
  hash=$(build_inputs | sha256sum | cut -c1-16)
  [ -f install/setup.bash ] && fresh build "$hash" && return
  say "building the workspace"
  local name  # a stand-in that was built before its real package came would lie over it
  for name in $(real_packages); do rm -rf "build/$name" "install/$name"; done
  (
    source "$VENV/bin/activate"
    if [ "$ROS_KIND" = wheels ]; then
      export AMENT_PREFIX_PATH=$VENV CMAKE_PREFIX_PATH=$VENV
    fi
    # Named by its Python, so that linked programs start with the environment's even where colcon is the system's.
    "$VENV/bin/python" "$(command -v colcon)" --log-base log build --base-paths src tests/overlay/*/ --symlink-install \
      --event-handlers console_direct- console_cohesion- status- \
      --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$VENV/bin/python" 2>&1 | grep -v "doesn't contain any 'local_setup"
  )
  stamp build "$hash"
}

PYTHON=$PYTHON scripts/system_packages.sh
make_venv
install_python_packages
[ "${1:-}" = lint ] || build_workspace

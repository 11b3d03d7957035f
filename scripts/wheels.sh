#!/usr/bin/env bash
# The packages as wheels in build/wheels, and a trial of them in a fresh environment without ROS: `make wheels` and the
# pip job of continuous integration. World4RL's messages are not among them: colcon builds those.
#   wheels.sh [build|try]    both without a word; PYTHON names the interpreter, TORCH_INDEX an index of CPU wheels of torch
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3}
PACKAGES=(world4rl_data world4rl_wm world4rl_policy world4rl_control world4rl_sim world4rl_bringup world4rl)
wheels=build/wheels

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

# From a copy: a build leaves folders beside each setup.py, and links become files. PEP 517 brings the build's own tools: a
# bare Python 3.10 has no `wheel`.
build() {
  rm -rf "$wheels"
  cp -rL src "$room/src"
  "$PYTHON" -m pip wheel -q --disable-pip-version-check --use-pep517 --no-deps -w "$wheels" "${PACKAGES[@]/#/$room/src/}"
  ls "$wheels"
}

# In a folder of its own and without PYTHONPATH, so that nothing is found but what was installed.
try() {
  local environment=$room/environment options=()
  "$PYTHON" -m venv "$environment"
  "$environment/bin/python" -m pip install -q --disable-pip-version-check "pip>=24" # see setup.sh
  [ -n "${TORCH_INDEX:-}" ] && options+=(--extra-index-url "$TORCH_INDEX")
  "$environment/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt "${options[@]}" "$wheels"/*.whl
  "$environment/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps gym-hil
  "$environment/bin/python" -m pip check || echo "(gym-hil's input devices are left out on purpose)"
  unset PYTHONPATH AMENT_PREFIX_PATH
  cd "$room"
  PATH=$environment/bin:$PATH
  world4rl --version
  world4rl --help >/dev/null
  # Rendering, physics, safety gate, task contract, store: one real episode of the scripted expert.
  world4rl collect --task press_button --out store --episodes 1 --workers 1
  world4rl dataset info store
  world4rl train bc --help >/dev/null # imports torch
  echo "wheels work with $(python -V)"
}

case "${1:-all}" in
  build) build ;;
  try) try ;;
  all)
    build # not `&&`: there an error within would not end the script
    try
    ;;
  *) echo "wheels.sh [build|try]" >&2 && exit 2 ;;
esac

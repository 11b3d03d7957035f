#!/usr/bin/env bash
# Compiler, Python's headers and venv, and the libraries of headless rendering: installed when root, else the command is
# printed and the run stops. Looks for the things themselves, so that any distribution passes that has them.
set -euo pipefail
PYTHON=${PYTHON:-python3}
missing=()

libraries=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true)
has_library() { [[ $libraries == *"$1"* ]] || compgen -G "/usr/lib/*/$1*" >/dev/null; }

find_missing() {
  missing=()
  if ! command -v "$PYTHON" >/dev/null; then
    missing+=(python3 python3-venv python3-dev)
  else
    "$PYTHON" -c "import ensurepip, venv" 2>/dev/null || missing+=(python3-venv)
    "$PYTHON" -c "import os, sysconfig; assert os.path.exists(sysconfig.get_paths()['include'] + '/Python.h')" 2>/dev/null ||
      missing+=(python3-dev)
  fi
  command -v gcc >/dev/null || missing+=(gcc)
  command -v g++ >/dev/null || missing+=(g++)
  has_library libEGL.so.1 || missing+=(libegl1)
  has_library libOSMesa.so || missing+=(libosmesa6)
  has_library libGL.so.1 || missing+=(libgl1)
}

find_missing
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "World4RL needs what Debian calls: ${missing[*]}. Install them with this system's package manager, then run again." >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "World4RL needs system packages that are not here. Run this, then make again:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
  exit 1
fi
echo "installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
libraries=$(ldconfig -p)
find_missing
if [ ${#missing[@]} -ne 0 ]; then
  echo "installed, but still not found: ${missing[*]}" >&2
  exit 1
fi

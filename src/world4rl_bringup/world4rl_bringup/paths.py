"""Where things of the workspace lie: this package's parameter files and the nodes' programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from world4rl_bringup.spec import NodeSpec

_SOURCE_FOLDER = Path(__file__).resolve().parent.parent


def prefixes(env: Mapping[str, str]) -> list[Path]:
    """The install prefixes of the sourced ROS environment, nearest overlay first."""
    return [Path(part) for part in env.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if part]


def package_prefix(package: str, env: Mapping[str, str] | None = None) -> Path | None:
    """The prefix that a ROS package is installed in; None where it is not."""
    for prefix in prefixes(os.environ if env is None else env):
        if (prefix / "share/ament_index/resource_index/packages" / package).exists():
            return prefix
    return None


def is_built(package: str) -> bool:
    """Whether a package of ours can be started: installed in a prefix, or importable."""
    return package_prefix(package) is not None or find_spec(package) is not None


def share_file(name: str) -> Path:
    """A file of this package, such as ``rviz/world4rl.rviz``, from the source tree or the installed share folder."""
    folders = [_SOURCE_FOLDER]
    prefix = package_prefix("world4rl_bringup")
    if prefix:
        folders.append(prefix / "share/world4rl_bringup")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked = " or ".join(str(folder) for folder in folders)
    raise FileNotFoundError(f"no file {name} in {looked}: build and source the workspace")


def parameter_file(node: str) -> Path:
    """The file with a node's default parameters."""
    return share_file(f"params/{node}.yaml")


def executable(spec: NodeSpec, env: Mapping[str, str]) -> list[str]:
    """How to start a node: its installed program, or ``python -m`` where the package is only importable."""
    for prefix in prefixes(env):
        program = prefix / "lib" / spec.package / spec.executable
        if program.is_file():
            return [str(program)]
    return [sys.executable, "-u", "-m", spec.module]


def import_path(env: Mapping[str, str]) -> str:
    """``PYTHONPATH`` for a node: the environment's, then the folders that this process imports our packages from."""
    ours = [entry for entry in sys.path if entry and any(Path(entry).glob("world4rl*/__init__.py"))]
    given = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return os.pathsep.join(dict.fromkeys(given + ours))

"""scripts/env.sh: what a shell gets that has sourced it, whatever it had sourced before."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sources import ROOT

LIBRARY = "libours__rosidl_generator_c.so"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """One that is set up, as far as env.sh looks."""
    root = tmp_path / "workspace"
    files = {
        ".venv/bin/activate": f"export VIRTUAL_ENV={root}/.venv",
        "install/setup.bash": f'export LD_LIBRARY_PATH="{root}/install/ours/lib:$LD_LIBRARY_PATH"',
        f"install/ours/lib/{LIBRARY}": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/env.sh", root / "scripts")
    return root


def library_path(workspace: Path, before: str | None, **extra: str) -> list[str]:
    values = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "ROS_DISTRO")}
    values |= {} if before is None else {"LD_LIBRARY_PATH": before}
    script = f"set -eu; source {workspace}/scripts/env.sh; printenv LD_LIBRARY_PATH"
    found = subprocess.run(["bash", "-c", script], env=values | extra, capture_output=True, text=True)
    assert found.returncode == 0 and not found.stderr, found.stderr
    return [folder for folder in found.stdout.strip().split(":") if folder]


def test_another_workspaces_build_of_our_messages_is_left_out(workspace: Path, tmp_path: Path) -> None:
    """The wheels shuffle the library path: with an older build on it, fields of requests arrived empty."""
    other, cuda = tmp_path / "other/install/ours/lib", tmp_path / "cuda/lib"
    for folder in (other, cuda):
        folder.mkdir(parents=True)
    (other / LIBRARY).touch()
    ours = str(workspace / "install/ours/lib")
    assert library_path(workspace, f"{other}:{cuda}") == [ours, str(cuda)]
    assert library_path(workspace, f"{ours}:{cuda}") == [ours, str(cuda)], "sourced twice"
    assert library_path(workspace, None) == [ours]


def test_a_ros_of_the_machine_keeps_its_order(workspace: Path, tmp_path: Path) -> None:
    """There the order holds, and what is sourced last comes first."""
    other = tmp_path / "other"
    other.mkdir()
    (other / LIBRARY).touch()
    assert library_path(workspace, str(other), ROS_DISTRO="jazzy") == [str(workspace / "install/ours/lib"), str(other)]

"""What a new user's set-up rests on: Python versions, tests without ROS, stand-ins that make way, images that work."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from sources import ROOT

ROS = {"rclpy", "builtin_interfaces", "launch", "launch_ros", "world4rl_interfaces"}


def test_every_page_names_the_pythons_that_are_tested() -> None:
    """What is pinned has no wheels for others."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]
    tested = jobs["pip"]["strategy"]["matrix"]["python"]
    first, last = tested[0], tested[-1]
    for name in ("README.md", "docs/install.md", "docs/quick_start.md", "scripts/setup.sh"):
        told = re.findall(r"Python (3\.\d+) to (3\.\d+)", (ROOT / name).read_text())
        assert told and set(told) == {(first, last)}, name
    minor = last.partition(".")[2]
    assert f"(3, 10) <= sys.version_info[:2] <= (3, {minor})" in (ROOT / "scripts/setup.sh").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("*/test_*.py")), ids=lambda path: path.name)
def test_without_ros_a_test_file_is_left_out_or_can_be_imported(path: Path) -> None:
    """A file that imports ROS at its top must be marked as a whole: else `pytest` stops where there is none."""
    text = path.read_text()
    marked = re.search(r"^pytestmark\s*=.*\bmark\.ros\b", text, re.M)
    for node in ast.parse(text).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in (name.split(".")[0] for name in names):
            assert marked or not (name in ROS or name.endswith("_msgs")), f"{path.name} imports {name}"


def test_a_page_that_builds_the_driver_goes_on_with_the_rest() -> None:
    """The driver's workspace has none of the Python packages that the recorder imports (mcap, for one)."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/hardware.md").read_text(), re.S)
    (block,) = (block for block in blocks if "make driver" in block)
    order = [line.split("#")[0].strip() for line in block.splitlines()]
    assert order[-3:] == ["source ~/franka_ws/install/setup.bash", "make setup", "source scripts/env.sh"]


def test_an_image_keeps_what_its_installation_links_to() -> None:
    """`--symlink-install` installs links into `build`."""
    assert "--symlink-install" in (ROOT / "scripts/setup.sh").read_text()
    for path in (ROOT / "docker").glob("*.Dockerfile"):
        for removed in re.findall(r"make setup.*?rm -rf ([^\n&]*)", path.read_text()):
            assert "build" not in removed.split(), path.name


@pytest.mark.parametrize(
    ("prefixes", "found"), [("", ""), ("elsewhere", "franka_msgs"), ("here/install/franka_msgs", "")]
)
def test_a_stand_in_knows_of_the_real_package_in_a_sourced_workspace(tmp_path: Path, prefixes: str, found: str) -> None:
    """Not of itself: what this workspace has installed is the stand-in."""
    here = tmp_path / "here"
    for place in ("here/tests/overlay/franka_msgs", "here/install/franka_msgs/share/franka_msgs"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "elsewhere/share/franka_msgs").mkdir(parents=True)
    function = re.search(r"^real_packages\(\).*?^}", (ROOT / "scripts/setup.sh").read_text(), re.M | re.S)
    assert function is not None
    prefix = str(tmp_path / prefixes) if prefixes else ""
    script = f"set -euo pipefail; {function.group()}; real_packages"
    told = subprocess.run(
        ["bash", "-c", script],
        cwd=here,
        env=os.environ | {"AMENT_PREFIX_PATH": prefix},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == found.split()

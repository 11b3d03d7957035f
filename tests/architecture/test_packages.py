"""Every package is one that colcon, rosdep, ament and pip understand."""

from __future__ import annotations

import ast
import configparser
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from sources import PYTHON_PACKAGES, ROOT, imports, modules

MANIFESTS = sorted([*(ROOT / "src").glob("*/package.xml"), *(ROOT / "tests/overlay").glob("*/package.xml")])
# What a module is imported as -> what pip calls it, where the two differ.
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "yaml": "pyyaml", "markupsafe": "jinja2", "PIL": "pillow"}
# On the graph only, from ROS itself or from packages of ours that no learning machine needs.
NOT_FROM_PIP = {"rclpy", "launch", "launch_ros", "std_srvs", "ament_index_python", "cv_bridge"}
# Optional on purpose, with a message of its own where it is missing: gym_hil installs with --no-deps only, metaworld is
# an extra.
OPTIONAL = {"gym_hil", "metaworld", "pinocchio"}


def _declared(package: str) -> set[str]:
    tree = ast.parse((ROOT / "src" / package / "setup.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            return {name.lower() for name in ast.literal_eval(node.value)}
    raise AssertionError(f"{package}/setup.py has no install_requires")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_manifest_parses_without_warnings(manifest: Path) -> None:
    """A malformed one silently turns a ROS package into a plain Python package, without index markers."""
    parser = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg comes with colcon-ros")
    warnings: list[str] = []
    package = parser.parse_package(str(manifest), warnings=warnings)
    package.validate(warnings=warnings)
    assert (package.name, package.version, warnings) == (manifest.parent.name, "0.1.0", [])


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_ament_finds_the_package(package: str) -> None:
    folder = ROOT / "src" / package
    assert (folder / "resource" / package).is_file()
    settings = configparser.ConfigParser()
    settings.read(folder / "setup.cfg")
    place = "$base/bin" if package == "world4rl" else f"$base/lib/{package}"  # the command is for PATH, nodes are not
    assert settings["develop"]["script_dir"] == settings["install"]["install_scripts"] == place
    assert settings["build_scripts"]["executable"] == "/usr/bin/env python3"


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_pip_requirements_are_what_the_package_imports(package: str) -> None:
    used: set[str] = set()
    for path in modules(package):
        used |= imports(path)
    ros = {name for name in used if name.endswith(("_msgs", "_interfaces"))} | NOT_FROM_PIP
    used -= set(sys.stdlib_module_names) | ros | OPTIONAL | {package}
    # Needed for work on the graph only; `pip` could not find them, so install.md names them where they are wanted.
    used -= {"world4rl_control", "world4rl_bringup"}
    needed = {DISTRIBUTIONS.get(name, name).lower() for name in used}
    assert needed == _declared(package), f"src/{package}/setup.py: install_requires"


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_package_xml_names_our_own_imports(package: str) -> None:
    manifest = ElementTree.parse(ROOT / "src" / package / "package.xml")
    declared = {element.text for element in manifest.iter() if element.tag in ("depend", "exec_depend")}
    used: set[str] = set()
    for path in modules(package):
        used |= imports(path)
    ros = {name for name in used if name.startswith("world4rl") or name.endswith(("_msgs", "_interfaces"))}
    ros |= used & {"rclpy", "std_srvs"}
    assert ros - {package} <= declared, f"src/{package}/package.xml lacks {sorted(ros - {package} - declared)}"


def test_entry_points_exist() -> None:
    for package in PYTHON_PACKAGES:
        text = (ROOT / "src" / package / "setup.py").read_text(encoding="utf-8")
        targets = [line.split("=")[1].strip(' ",') for line in text.splitlines() if f"= {package}." in line]
        for target in targets:
            module, _, function = target.partition(":")
            path = ROOT / "src" / package / Path(*module.split(".")).with_suffix(".py")
            assert path.is_file(), f"{package}: entry point {target} has no file {path}"
            names = {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
            assert function in names, f"{path} has no function {function}"


@pytest.mark.skipif(shutil.which("colcon") is None, reason="colcon is not installed")
def test_colcon_sees_ros_packages() -> None:
    done = subprocess.run(["colcon", "list"], cwd=ROOT, capture_output=True, text=True)
    listed = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines()}
    expected = dict.fromkeys(PYTHON_PACKAGES, "(ros.ament_python)") | {"world4rl_interfaces": "(ros.ament_cmake)"}
    assert listed == expected, done.stderr

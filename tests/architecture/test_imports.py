"""Arrows between packages point one way, ROS stays in node files, and heavy libraries load late."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from sources import PYTHON_PACKAGES, ROOT, imports, module_name, modules, on_the_ros_side, parts

EVERYTHING = {*PYTHON_PACKAGES, "world4rl_interfaces"}
MAY_IMPORT = {
    "world4rl_data": {"world4rl_interfaces"},
    "world4rl_wm": {"world4rl_interfaces", "world4rl_data"},
    "world4rl_policy": {"world4rl_interfaces", "world4rl_data", "world4rl_wm"},
    "world4rl_control": {"world4rl_interfaces", "world4rl_data"},
    "world4rl_sim": {"world4rl_interfaces", "world4rl_data"},
    "world4rl_bringup": EVERYTHING,
    "world4rl": EVERYTHING,
}
# The folders and files of the package world4rl, from the ground up; each may import what stands in lines
# before its own.
LAYERS = (
    ("errors", "presentation", "episodes", "refinement"),
    ("settings",),
    ("presets",),
    ("runs",),
    ("model_measures", "play"),
    ("report",),
    ("pipeline", "loop"),
    ("benchmark",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# Importing these must work on a machine without ROS.
WITHOUT_ROS = [name for name in PYTHON_PACKAGES if name != "world4rl_bringup"]
IMPORT_WITHOUT_ROS = """
import importlib, json, sys
class NoRos:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ("rclpy", "launch", "launch_ros", "std_srvs") or top.endswith(("_msgs", "_interfaces")):
            raise ModuleNotFoundError(f"blocked by the test: {name}", name=name)
sys.meta_path.insert(0, NoRos())
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
print(json.dumps(failed))
"""


def _run(code: str, *arguments: str) -> str:
    paths = [str(ROOT / "src" / name) for name in PYTHON_PACKAGES]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_arrows_between_packages_point_one_way(package: str) -> None:
    assert modules(package), f"no modules found in {package}"
    for path in modules(package):
        ours = {name for name in imports(path) if name.startswith("world4rl")} - {package}
        assert ours <= MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {sorted(ours - MAY_IMPORT[package])}"


def test_layers_of_the_pipeline_rest_on_those_below() -> None:
    """What is below can be read, used and tested without what is above: refinement without a run, all without the
    commands and their options."""
    height = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    core = ROOT / "src/world4rl/world4rl"
    for path in modules("world4rl"):
        own = path.relative_to(core).parts[0].removesuffix(".py")
        if own != "__init__":
            above = {part for part in parts(path, "world4rl") - {own} if height[part] >= height[own]}
            assert not above, f"{path.relative_to(core)} imports {sorted(above)}"


@pytest.mark.parametrize("package", [name for name in PYTHON_PACKAGES if name != "world4rl_bringup"])
def test_only_node_files_import_rclpy(package: str) -> None:
    offenders = [path.name for path in modules(package) if "rclpy" in imports(path) and not path.stem.endswith("_node")]
    assert not offenders, f"{package}: rclpy belongs in *_node.py files, not in {offenders}"


@pytest.mark.parametrize("package", WITHOUT_ROS)
def test_all_but_the_ros_side_imports_without_ros(package: str) -> None:
    names = [module_name(package, path) for path in modules(package) if not on_the_ros_side(path)]
    names = [name for name in names if not name.endswith("__main__")]
    assert json.loads(_run(IMPORT_WITHOUT_ROS, json.dumps(names))) == {}


def test_the_safety_gate_lives_in_one_thread() -> None:
    """ArmControl and what is around it hold no locks: the package starts no threads, nobody else serves the node."""
    for path in modules("world4rl_control"):
        assert not imports(path) & {"threading", "_thread", "concurrent", "multiprocessing"}, path.name
        assert "MultiThreadedExecutor" not in path.read_text(encoding="utf-8"), path.name
    every = [path for package in PYTHON_PACKAGES for path in modules(package)]
    assert [path.name for path in every if "ArmGateNode" in path.read_text(encoding="utf-8")] == ["arm_gate_node.py"]


def test_the_command_starts_without_the_heavy_libraries() -> None:
    heavy = ("torch", "mujoco", "diffusers", "matplotlib")
    assert _run(f"import sys, world4rl.cli; print([m for m in {heavy} if m in sys.modules])") == "[]"

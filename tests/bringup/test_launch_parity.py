"""The real ``launch`` starts the same processes as the runner, parameters and names included.

Both start a stand-in program in place of every node, which writes down its command line and parameters.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
import rclpy.node
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor

from world4rl_bringup.graph import graph
from world4rl_bringup.options import parse_options
from world4rl_bringup.paths import executable, import_path
from world4rl_bringup.spec import command_line

try:  # a bare `import launch` would find the repository's launch/ folder
    from launch_ros.actions import Node  # noqa: F401

    from launch import LaunchDescription  # noqa: F401
except ImportError as error:
    pytest.skip(f"the ROS package launch is not here ({error})", allow_module_level=True)

pytestmark = pytest.mark.ros
ROOT = Path(__file__).parents[2]
DOUBLES = Path(__file__).parent / "doubles"
PROGRAM = """#!{python}
import json, os, pathlib, sys, time, yaml
words, out = sys.argv[1:], pathlib.Path(os.environ["PARITY_OUT"])
files = [yaml.safe_load(open(words[i + 1])) for i, w in enumerate(words) if w == "--params-file"]
name = next(w for w in words if w.startswith("__node:="))[len("__node:="):]
parameters = {{}}
for file in files:
    for section in file.values():
        parameters.update(section["ros__parameters"])
remaps = [words[i + 1] for i, w in enumerate(words) if w in ("-r", "--remap")]
level = words[words.index("--log-level") + 1]
report = dict(program=sys.argv[0], remaps=sorted(remaps), parameters=parameters, level=level)
(out / (name + ".tmp")).write_text(json.dumps(report))
(out / (name + ".tmp")).rename(out / (name + ".json"))
while True:
    time.sleep(0.1)
"""
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
service = LaunchService()
source = PythonLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(IncludeLaunchDescription(source, launch_arguments=arguments))
sys.exit(service.run())
"""
CASES = {
    "sim_arm": {"task": "push_cube", "seed": "7", "operator": "true", "imagination": "true", "log_level": "warn"},
    "record": {"namespace": "lab/left", "contract": "franka_sim", "use_sim_time": "true"},
    "real_arm": {"start_driver": "false", "start_cameras": "false", "namespace": "lab"},
    "imagine": {},
}


@pytest.fixture
def env(ros_domain: int, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose nearest install prefix holds a stand-in for every node's program."""
    prefix = tmp_path / "prefix"
    options = parse_options({"operator": "true", "policy": "true", "imagination": "true", "teleop": "joystick"})
    for spec in graph("sim_arm", options):
        if spec.install:  # a program of another project
            continue
        program = prefix / "lib" / spec.package / spec.executable
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(0o755)
        marker = prefix / "share/ament_index/resource_index/packages" / spec.package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    found = os.pathsep.join([str(prefix), os.environ.get("AMENT_PREFIX_PATH", "")])
    yield {
        **os.environ,
        "AMENT_PREFIX_PATH": found,
        "PYTHONPATH": import_path(os.environ),
        "ROS_LOG_DIR": str(tmp_path),
    }


def collect(commands: list[list[str]], count: int, env: dict[str, str], out: Path) -> dict[str, Any]:
    """Run commands until ``count`` stand-ins have reported, then end them; the reports by node name."""
    out.mkdir()
    log = (out / "output").open("w+")
    running = [
        subprocess.Popen(words, env={**env, "PARITY_OUT": str(out)}, stdout=log, stderr=log) for words in commands
    ]
    end = time.monotonic() + 30
    while len(list(out.glob("*.json"))) < count and time.monotonic() < end:
        time.sleep(0.1)
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        process.wait(timeout=20)
    reports = {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}
    assert len(reports) == count, (out / "output").read_text()
    return reports


@pytest.mark.parametrize("mode", sorted(CASES))
def test_launch_and_runner_start_the_same(mode: str, env: dict[str, str], tmp_path: Path) -> None:
    texts = {**CASES[mode], "autostart": "false"}
    if mode == "imagine":
        texts |= {"world_model_checkpoint": str(tmp_path), "policy_checkpoint": str(tmp_path)}
    specs = graph(mode, parse_options(texts))
    runner = [command_line(spec, executable(spec, env), tmp_path / "params") for spec in specs]
    words = [sys.executable, "-c", LAUNCH, str(ROOT / "launch" / f"{mode}.launch.py")]
    launch = [[*words, *(f"{name}:={text}" for name, text in texts.items())]]
    assert collect(launch, len(specs), env, tmp_path / "launch") == collect(
        runner, len(specs), env, tmp_path / "runner"
    )


def test_launch_refuses_a_real_arm_that_is_not_ready(env: dict[str, str], tmp_path: Path) -> None:
    words = [sys.executable, "-c", LAUNCH, str(ROOT / "launch/real_arm.launch.py"), "robot_ip:=10.0.0.1"]
    ended = subprocess.run(words, env={**env, "PARITY_OUT": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    said = ended.stderr + ended.stdout
    for word in ("the driver needs franka_bringup", "the motion controller needs controller_manager", "front_serial"):
        assert word in said
    assert not list(tmp_path.glob("*.json")), "nodes were started all the same"


@pytest.fixture
def with_doubles(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment with doubles of the robot's packages installed."""
    return {**env, "AMENT_PREFIX_PATH": f"{env['AMENT_PREFIX_PATH']}{os.pathsep}{DOUBLES}"}


REAL_ARM = ("robot_ip:=10.0.0.1", "front_serial:=831612073525", "wrist_serial:=042", "autostart:=false")
OUR_NODES = {"arm_gate", "recorder", "policy", "imagination"}


def real_arm(env: dict[str, str], out: Path, count: int, *more: str) -> dict[str, Any]:
    words = [sys.executable, "-c", LAUNCH, str(ROOT / "launch/real_arm.launch.py"), *REAL_ARM, *more]
    return collect([words], count, env, out)


def test_launch_starts_driver_controllers_and_cameras(with_doubles: dict[str, str], tmp_path: Path) -> None:
    """What is given to the other projects' launch files; what is not said here keeps their own default."""
    reports = real_arm(with_doubles, tmp_path / "launch", 8, "namespace:=lab")
    assert reports.pop("driver") == {
        "robot_type": "fr3",
        "arm_prefix": "",
        "namespace": "",
        "robot_ip": "10.0.0.1",
        "load_gripper": "true",
        "use_fake_hardware": "false",
        "fake_sensor_commands": "false",
        "joint_state_rate": "30",
        "load_franka_robot_state_broadcaster": "true",
        "controllers_yaml": str(ROOT / "src/world4rl_bringup/config/controllers.yaml"),
    }
    assert reports.pop("spawner") == {
        "controller_names": ["pose_broadcaster", "cartesian_impedance_controller"],
        "controller_manager": "/controller_manager",
        "controller_manager_timeout": 60,
    }
    for namespace, serial in (("camera", "_831612073525"), ("wrist_camera", "_042")):
        assert reports.pop(namespace) == {
            "camera_name": "camera",
            "camera_namespace": namespace,
            "serial_no": serial,
            "rgb_camera.color_profile": "640x480x30",
            "rgb_camera.color_format": "RGB8",
            "enable_color": "true",
            "enable_depth": "false",
            "log_level": "info",
        }
    assert set(reports) == OUR_NODES
    assert all("__ns:=/lab" in report["remaps"] for report in reports.values())


def test_launch_leaves_out_what_the_user_starts(with_doubles: dict[str, str], tmp_path: Path) -> None:
    reports = real_arm(with_doubles, tmp_path / "launch", 5, "start_cameras:=false", "controller:=external")
    assert set(reports) == {"driver", *OUR_NODES}


def test_launch_ends_where_the_controller_does_not_start(with_doubles: dict[str, str], tmp_path: Path) -> None:
    words = [sys.executable, "-c", LAUNCH, str(ROOT / "launch/real_arm.launch.py"), *REAL_ARM]
    env = {**with_doubles, "PARITY_OUT": str(tmp_path), "SPAWNER_EXIT_CODE": "1"}
    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    said = ended.stdout + ended.stderr
    assert "the spawner of pose_broadcaster, cartesian_impedance_controller failed (exit code 1)" in said


def test_launch_and_runner_start_devices_the_same(with_doubles: dict[str, str], tmp_path: Path) -> None:
    """A driver of another project in the root namespace, beside our node."""
    specs = graph("teleop", parse_options({"teleop": "joystick", "namespace": "lab"}))
    runner = [command_line(spec, executable(spec, with_doubles), tmp_path / "params") for spec in specs]
    words = [sys.executable, "-c", LAUNCH, str(ROOT / "launch/teleop.launch.py"), "teleop:=joystick", "namespace:=lab"]
    reports = [
        collect(commands, 2, with_doubles, tmp_path / name) for name, commands in (("a", [words]), ("b", runner))
    ]
    drivers = [report.pop("game_controller_node") for report in reports]
    assert reports[0] == reports[1] and set(reports[0]) == {"teleop"}
    for driver in drivers:
        assert "__ns:=/" in driver and "__node:=game_controller_node" in driver and "--params-file" in driver


def test_a_closed_window_does_not_end_the_graph(with_doubles: dict[str, str], tmp_path: Path) -> None:
    words = [sys.executable, "-c", LAUNCH, str(ROOT / "launch/sim_arm.launch.py"), "rviz:=true", "autostart:=false"]
    reports = collect([words], 4, {**with_doubles, "EXIT_AT_ONCE": "1"}, tmp_path / "launch")
    assert set(reports) == {"rviz2", "sim_arm", "arm_gate", "recorder"}
    assert "process has finished cleanly" in (said := (tmp_path / "launch/output").read_text())
    assert "ended by itself" not in said


MODULE = """#!/bin/sh
exec {python} -m world4rl_data.recorder_node "$@"
"""


def test_launch_activates_the_recorder(env: dict[str, str], ros_domain: int, tmp_path: Path) -> None:
    """The real lifecycle node behind the real launch: configured, activated, and ended in order by Ctrl-C."""
    (tmp_path / "prefix/lib/world4rl_data/recorder").write_text(MODULE.format(python=sys.executable))
    words = [sys.executable, "-c", LAUNCH, str(ROOT / "launch/record.launch.py"), f"bags_dir:={tmp_path}"]
    with (tmp_path / "output").open("w+") as log:
        launch = subprocess.Popen(words, env=env, stdout=log, stderr=log)
        try:
            state = recorder_state(ros_domain, "active")
        finally:
            launch.send_signal(signal.SIGINT)
            code = launch.wait(timeout=60)
    assert state == "active", (tmp_path / "output").read_text()
    assert code == 0, (tmp_path / "output").read_text()


def recorder_state(domain: int, wanted: str) -> str:
    """The recorder's lifecycle state, once it is the wanted one or 60 s are over."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    client = rclpy.node.Node("test_client", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(client)
    service = client.create_client(GetState, "/world4rl/recorder/get_state")
    state, end = "absent", time.monotonic() + 60
    try:
        while state != wanted and time.monotonic() < end:
            if not service.wait_for_service(timeout_sec=1):
                continue
            future = service.call_async(GetState.Request())
            executor.spin_until_future_complete(future, timeout_sec=5)
            state = future.result().current_state.label if future.done() else "silent"
        return state
    finally:
        executor.shutdown()
        client.destroy_node()
        context.try_shutdown()

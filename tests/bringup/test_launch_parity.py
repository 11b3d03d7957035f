"""The real ``launch`` starts the same processes as the runner, parameters and names included.

Both start a stand-in program in place of every node, which writes down its command line and parameters.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy
import rclpy.node
from launch_stand_ins import collect, environment, launch_command, with_doubles
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor

from world4rl_bringup.graph import graph
from world4rl_bringup.middleware import middleware
from world4rl_bringup.options import parse_options
from world4rl_bringup.paths import executable
from world4rl_bringup.spec import command_line

try:  # a bare `import launch` would find the repository's launch/ folder
    from launch_ros.actions import Node  # noqa: F401

    from launch import LaunchContext
    from world4rl_bringup.launch_actions import LifecycleStart
except ImportError as error:
    pytest.skip(f"the ROS package launch is not here ({error})", allow_module_level=True)

pytestmark = pytest.mark.ros
CASES = {
    "sim_arm": {"task": "push_cube", "seed": "7", "operator": "true", "imagination": "true", "log_level": "warn"},
    "record": {"namespace": "lab/left", "contract": "franka_sim", "use_sim_time": "true"},
    "real_arm": {"start_driver": "false", "start_cameras": "false", "namespace": "lab"},
    "imagine": {},
}


@pytest.fixture
def env(ros_domain: int, tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@pytest.mark.parametrize("mode", sorted(CASES))
def test_launch_and_runner_start_the_same(mode: str, env: dict[str, str], tmp_path: Path) -> None:
    texts = dict(CASES[mode])
    if mode == "imagine":
        texts |= {"world_model_checkpoint": str(tmp_path), "policy_checkpoint": str(tmp_path)}
    else:
        texts["autostart"] = "false"
    options = parse_options(texts)
    specs = graph(mode, options)
    runner = [command_line(spec, executable(spec, env), tmp_path / "params") for spec in specs]
    launch = [launch_command(mode, *(f"{name}:={text}" for name, text in texts.items()))]
    launched = collect(launch, len(specs), env, tmp_path / "launch")
    assert launched == collect(runner, len(specs), {**env, **middleware(mode, options, env)}, tmp_path / "runner")


def test_launch_and_runner_start_devices_the_same(env: dict[str, str], tmp_path: Path) -> None:
    """A driver of another project in the root namespace, beside our node."""
    env = with_doubles(env)
    specs = graph("teleop", parse_options({"teleop": "joystick", "namespace": "lab"}))
    runner = [command_line(spec, executable(spec, env), tmp_path / "params") for spec in specs]
    words = launch_command("teleop", "teleop:=joystick", "namespace:=lab")
    reports = [collect(commands, 2, env, tmp_path / name) for name, commands in (("a", [words]), ("b", runner))]
    drivers = [report.pop("game_controller_node") for report in reports]
    assert reports[0] == reports[1] and set(reports[0]) == {"teleop"}
    for driver in drivers:
        assert "__ns:=/" in driver and "__node:=game_controller_node" in driver and "--params-file" in driver


SLOW = """#!{python}
import pathlib, signal, time
report, asked = pathlib.Path("{report}"), []
signal.signal(signal.SIGINT, lambda *_: asked.append(True))
report.with_suffix(".started").touch()
while not asked:
    time.sleep(0.1)
time.sleep(7)
report.touch()
"""


def test_a_node_gets_the_runners_time_to_end_under_launch_too(env: dict[str, str], tmp_path: Path) -> None:
    """Launch's own 5 s until SIGTERM are too few for a large bag on a slow disk."""
    report = tmp_path / "closed"
    (tmp_path / "prefix/lib/world4rl_data/recorder").write_text(SLOW.format(python=sys.executable, report=report))
    with (tmp_path / "output").open("w+") as log:
        launch = subprocess.Popen(launch_command("record", "autostart:=false"), env=env, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not report.with_suffix(".started").exists() and time.monotonic() < end:
            time.sleep(0.1)
        # As a container does: launch alone gets it, and hands it on where it has no terminal.
        launch.send_signal(signal.SIGINT)
        launch.wait(timeout=60)
    assert report.exists(), (tmp_path / "output").read_text()


MODULE = """#!/bin/sh
exec {python} -m world4rl_data.recorder_node "$@"
"""


def test_launch_activates_the_recorder(env: dict[str, str], ros_domain: int, tmp_path: Path) -> None:
    """The real lifecycle node behind the real launch: configured, activated, and ended in order by Ctrl-C."""
    (tmp_path / "prefix/lib/world4rl_data/recorder").write_text(MODULE.format(python=sys.executable))
    words = launch_command("record", f"bags_dir:={tmp_path}")
    with (tmp_path / "output").open("w+") as log:
        launch = subprocess.Popen(words, env=env, stdout=log, stderr=log)
        try:
            state = recorder_state(ros_domain, "active")
        finally:
            launch.send_signal(signal.SIGINT)
            code = launch.wait(timeout=60)
    assert state == "active", (tmp_path / "output").read_text()
    assert code == 0, (tmp_path / "output").read_text()


REFUSING = """#!/bin/sh
exec {python} {toy} "$@" -p refuse:=true
"""


def test_a_lifecycle_node_that_refuses_to_configure_ends_the_launch(env: dict[str, str], tmp_path: Path) -> None:
    """As it ends the runner: a graph without its recorder would stay up and never work."""
    toy = Path(__file__).parent / "toy_nodes/managed_node.py"
    (tmp_path / "prefix/lib/world4rl_data/recorder").write_text(REFUSING.format(python=sys.executable, toy=toy))
    words = launch_command("record", f"bags_dir:={tmp_path}")
    with (tmp_path / "output").open("w+") as log:
        launch = subprocess.Popen(words, env=env, stdout=log, stderr=log)
        try:
            launch.wait(timeout=60)
        finally:
            launch.send_signal(signal.SIGINT)
            launch.wait(timeout=60)
    assert "/world4rl/recorder refused to configure" in (tmp_path / "output").read_text()


def test_what_a_lifecycle_node_refuses_by_hand_later_ends_nothing() -> None:
    """Once all was up, the arm may be at work."""
    context, start = LaunchContext(), LifecycleStart({"recorder", "policy"}, [])
    start.activated(context, "recorder")
    assert start.refused(context, "recorder", "no contract") == []
    assert start.refused(context, "policy", "no contract"), "this one was never up"


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

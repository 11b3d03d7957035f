"""real_arm.launch.py through the real ``launch``, with doubles of the robot's packages and stand-ins for our nodes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from launch_stand_ins import ROOT, collect, environment, launch_command, with_doubles

try:  # a bare `import launch` would find the repository's launch/ folder
    from launch_ros.actions import Node  # noqa: F401

    from launch import LaunchDescription  # noqa: F401
except ImportError as error:
    pytest.skip(f"the ROS package launch is not here ({error})", allow_module_level=True)

pytestmark = pytest.mark.ros
REAL_ARM = ("robot_ip:=10.0.0.1", "front_serial:=831612073525", "wrist_serial:=042", "autostart:=false")
OUR_NODES = {"arm_gate", "recorder", "policy", "imagination"}


@pytest.fixture
def env(ros_domain: int, tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


def test_launch_refuses_a_real_arm_that_is_not_ready(env: dict[str, str], tmp_path: Path) -> None:
    words = launch_command("real_arm", "robot_ip:=10.0.0.1")
    ended = subprocess.run(words, env={**env, "PARITY_OUT": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    said = ended.stderr + ended.stdout
    for word in ("the driver needs franka_bringup", "the motion controller needs controller_manager", "front_serial"):
        assert word in said
    assert not list(tmp_path.glob("*.json")), "nodes were started all the same"


def real_arm(env: dict[str, str], out: Path, count: int, *more: str) -> dict[str, Any]:
    words = launch_command("real_arm", *REAL_ARM, *more)
    return collect([words], count, env, out)


def test_launch_starts_driver_controllers_and_cameras(env: dict[str, str], tmp_path: Path) -> None:
    """What is given to the other projects' launch files; what is not said here keeps their own default."""
    reports = real_arm(with_doubles(env), tmp_path / "launch", 8, "namespace:=lab")
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


def test_launch_leaves_out_what_the_user_starts(env: dict[str, str], tmp_path: Path) -> None:
    reports = real_arm(with_doubles(env), tmp_path / "launch", 5, "start_cameras:=false", "controller:=external")
    assert set(reports) == {"driver", *OUR_NODES}


def test_launch_ends_where_the_controller_does_not_start(env: dict[str, str], tmp_path: Path) -> None:
    words = launch_command("real_arm", *REAL_ARM)
    env = {**with_doubles(env), "PARITY_OUT": str(tmp_path), "SPAWNER_EXIT_CODE": "1"}
    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    said = ended.stdout + ended.stderr
    assert "the spawner of pose_broadcaster, cartesian_impedance_controller failed (exit code 1)" in said


def test_a_closed_window_does_not_end_the_graph(env: dict[str, str], tmp_path: Path) -> None:
    words = launch_command("sim_arm", "rviz:=true", "autostart:=false")
    reports = collect([words], 4, {**with_doubles(env), "EXIT_AT_ONCE": "1"}, tmp_path / "launch")
    assert set(reports) == {"rviz2", "sim_arm", "arm_gate", "recorder"}
    assert "process has finished cleanly" in (said := (tmp_path / "launch/output").read_text())
    assert "ended by itself" not in said

"""The real robot's side as data: what is started beside our nodes, and what is refused for want of something."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from world4rl_bringup.graph import MODES, companions, graph
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.refusals import refusals
from world4rl_bringup.robot_side import CONTROLLERS, controller_types
from world4rl_data.contract import TaskContract

ROOT = Path(__file__).parents[2]
DOUBLES = Path(__file__).parent / "doubles"
READY = GraphOptions(robot_ip="172.16.0.2", front_serial="111", wrist_serial="222")


@pytest.fixture
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(DOUBLES))


def test_what_a_real_arm_lacks_is_refused_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a real arm would need and is not there is refused, not ignored."""
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    reasons = "\n".join(refusals("real_arm", replace(READY, robot_type="panda", rviz=True), can_include_driver=True))
    for word in ("robot_type:=panda", "franka_bringup, not", "controller_manager and crisp_controllers, not", "rviz:="):
        assert word in reasons
    assert reasons.count("realsense2_camera, not installed") == 2
    reasons = "\n".join(refusals("real_arm", GraphOptions(), can_include_driver=True))
    for word in ("robot_ip is empty", "give front_serial", "give wrist_serial"):
        assert word in reasons


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"teleop", "deploy_sim"}))
def test_a_contract_that_is_not_there_is_refused_before_anything_starts(mode: str, all_installed: None) -> None:
    reasons = refusals(mode, GraphOptions(contract="nosuch", use_fake_hardware=True), can_include_driver=True)
    assert len(reasons) == 1 and "no task contract 'nosuch'" in reasons[0]


def test_a_wrong_contract_or_task_hides_no_other_reason(all_installed: None) -> None:
    reasons = refusals("real_arm", GraphOptions(contract="nosuch"), can_include_driver=True)
    assert "no task contract 'nosuch'" in reasons[0] and any("robot_ip is empty" in reason for reason in reasons)
    juggle = GraphOptions(task="juggle", use_fake_hardware=True)
    assert refusals("real_arm", juggle, can_include_driver=True)[0].startswith("no task 'juggle'")


def test_our_own_packages_that_are_not_built_are_named(all_installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make driver` builds no learning packages."""
    for package in ("world4rl_policy", "world4rl_wm"):
        monkeypatch.setitem(sys.modules, package, None)  # not importable
    (reason,) = refusals("real_arm", READY, can_include_driver=True)
    assert reason.startswith("not built here: world4rl_policy, world4rl_wm: make setup") and "learned:=false" in reason
    assert refusals("real_arm", replace(READY, learned=False), can_include_driver=True) == []
    (reason,) = refusals("learned", GraphOptions(), can_include_driver=True)
    assert "not built here" in reason and "learned:=false" not in reason


def test_a_real_arm_with_all_it_needs_is_not_refused(all_installed: None) -> None:
    assert refusals("real_arm", READY, can_include_driver=True) == []
    assert refusals("real_arm", replace(READY, controller="external"), can_include_driver=True) == []
    assert refusals("real_arm", GraphOptions(use_fake_hardware=True), can_include_driver=False) == []


def test_the_runner_refuses_what_only_launch_can_start(all_installed: None) -> None:
    reasons = refusals("real_arm", READY, can_include_driver=False)
    assert [reason.split(" is started by")[0] for reason in reasons] == [
        "the driver", "the motion controller", "camera 'front'", "camera 'wrist'",
    ]  # fmt: skip
    elsewhere = GraphOptions(start_driver=False, start_cameras=False)
    assert refusals("real_arm", elsewhere, can_include_driver=False) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"controllers_yaml": "/nowhere.yaml"}, "controllers_yaml /nowhere.yaml is not a file"),
        ({"controller": "impedance"}, "controller:=impedance is not in"),
        ({"load_gripper": False}, "load_gripper:=false takes fr3_hand_tcp away"),
        ({"camera_profile": "424x240x30"}, "smaller than the crop of 'front'"),
        ({"camera_profile": "848x480x30"}, "stream 'front' needs pictures of 640x480"),
        ({"wrist_serial": "111"}, "front_serial and wrist_serial are the same camera, 111"),
        ({"wrist_serial": ""}, "which camera is stream 'wrist'? give wrist_serial"),
        ({"teleop": "spacemouse"}, "spacenav_node needs spacenav, which is not installed"),
    ],
)
def test_arguments_of_the_robots_side_that_cannot_be_used(
    changed: dict[str, Any], message: str, all_installed: None
) -> None:
    reasons = refusals("real_arm", replace(READY, **changed), can_include_driver=True)
    assert reasons and all(message in reason for reason in reasons[:1]), reasons


def test_cameras_that_are_not_realsense_are_left_to_the_user(all_installed: None, tmp_path: Path) -> None:
    contract = TaskContract.load("franka_real").to_dict()
    contract["images"] = [{**contract["images"][0], "name": "scene", "topic": "/usb_cam/image_raw"}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(contract))
    reasons = refusals("real_arm", replace(READY, contract=str(tmp_path / "mine.yaml")), can_include_driver=True)
    assert len(reasons) == 1 and "/usb_cam/image_raw is not a RealSense" in reasons[0]


def test_shipped_controllers_are_those_that_the_launch_file_and_the_driver_start() -> None:
    types = controller_types(ROOT / "src/world4rl_bringup/config/controllers.yaml")
    assert set(CONTROLLERS.values()) < set(types)
    assert {"joint_state_broadcaster", "franka_robot_state_broadcaster"} < set(types), "franka.launch.py spawns these"
    parameters = yaml.safe_load((ROOT / "src/world4rl_bringup/config/controllers.yaml").read_text())
    assert {key.removeprefix("/**/") for key in parameters} - {"controller_manager"} <= set(types)
    assert parameters["/**/franka_robot_state_broadcaster"]["ros__parameters"]["convenience_publish_rate"] == 100
    clip = parameters["/**/cartesian_impedance_controller"]["ros__parameters"]["task"]["error_clip"]
    workspace = TaskContract.load("franka_real").workspace
    assert workspace.max_lag_m < clip["x"] and workspace.max_lag_rad < clip["rx"], "the gate must clip first"


def test_a_controller_manager_file_may_be_nested_or_flat(tmp_path: Path) -> None:
    """franka_ros2 nests its keys, others write /**/controller_manager."""
    manager = {"ros__parameters": {"update_rate": 1000, "arm": {"type": "some/Controller"}}}
    for tree in ({"/**": {"controller_manager": manager}}, {"/lab/controller_manager": manager}):
        (tmp_path / "controllers.yaml").write_text(yaml.safe_dump(tree))
        assert controller_types(tmp_path / "controllers.yaml") == {"arm": "some/Controller"}


def gate_of(options: GraphOptions) -> dict[str, Any]:
    return {**next(spec for spec in graph("real_arm", options) if spec.name == "arm_gate").parameters}


def test_the_gate_is_told_of_the_real_arm_and_not_of_the_simulated_one() -> None:
    told = {"backend": "cartesian_pose", "command_rate_hz": 100.0, "controller_pose_topic": "/current_pose"}
    rest = {"contract": "franka_real", "use_sim_time": False}
    assert gate_of(READY) == {**rest, **told}
    held = gate_of(replace(READY, controller="external", dead_man_topic="/joy", dead_man_button=4))
    assert held == {
        **rest, "backend": "cartesian_pose", "command_rate_hz": 100.0, "dead_man_topic": "/joy", "dead_man_button": 4,
    }  # fmt: skip
    assert gate_of(replace(READY, backend="joint_trajectory"))["backend"] == "joint_trajectory"
    assert set(gate_of(GraphOptions(use_fake_hardware=True))) == {"contract", "use_sim_time"}


def test_the_rehearsal_asks_for_the_dead_man_button_and_refuses_a_backend_that_it_cannot_try() -> None:
    rehearsal = GraphOptions(use_fake_hardware=True, dead_man_topic="/joy", dead_man_button=4)
    told = gate_of(rehearsal)
    assert (told["dead_man_topic"], told["dead_man_button"]) == ("/joy", 4)
    assert refusals("real_arm", rehearsal, can_include_driver=True) == []
    (reason,) = refusals("real_arm", replace(rehearsal, backend="servo_twist"), can_include_driver=True)
    assert "backend:=servo_twist" in reason and "simulated arm" in reason


def test_a_device_s_hint_is_one_that_launch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """``ros2 launch`` refuses an argument without a value."""
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    options = GraphOptions(start_driver=False, start_cameras=False, teleop="joystick")
    (reason,) = refusals("real_arm", options, can_include_driver=True)
    assert "leave teleop:=joystick out" in reason and ":= " not in reason


@pytest.mark.parametrize(
    ("changed", "compared"),
    [
        ({}, True),
        ({"controller": "cartesian_impedance_controller"}, True),
        ({"controller": "external"}, False),
        ({"backend": "servo_twist"}, False),
    ],
)
def test_the_controller_s_pose_is_compared_where_the_driver_runs_elsewhere_as_well(
    changed: dict[str, Any], compared: bool
) -> None:
    """driver.launch.py on the other machine starts the same controllers, their pose broadcaster among them."""
    assert ("controller_pose_topic" in gate_of(replace(READY, **changed))) == compared
    assert ("controller_pose_topic" in gate_of(replace(READY, start_driver=False, **changed))) == compared


def test_controllers_that_the_gate_is_to_know_of_must_be_there(tmp_path: Path) -> None:
    elsewhere = GraphOptions(start_driver=False, start_cameras=False, controllers_yaml="/nowhere.yaml")
    assert "is not a file" in refusals("real_arm", elsewhere, can_include_driver=True)[0]
    assert "dead_man_topic" in gate_of(replace(elsewhere, dead_man_topic="/joy")), "not lost by another's mistake"


def test_a_backend_brings_its_controller(all_installed: None) -> None:
    specs, problems = companions("real_arm", replace(READY, backend="joint_trajectory", start_cameras=False))
    assert not problems
    assert specs[1].packages == ("controller_manager", "joint_trajectory_controller")
    assert specs[1].arguments[0] == "joint_trajectory_controller"  # type: ignore[union-attr]
    assert companions("real_arm", GraphOptions(start_driver=False, start_cameras=False)) == ([], [])

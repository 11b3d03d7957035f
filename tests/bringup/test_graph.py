"""The graph as data: which nodes each mode holds, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from world4rl_bringup.graph import MODES, companions, graph, notices
from world4rl_bringup.options import GraphOptions, OptionError, default_of, parse_options
from world4rl_bringup.refusals import refusals, unknown_arguments
from world4rl_bringup.robot_side import CONTROLLERS, controller_types
from world4rl_bringup.spec import NodeSpec
from world4rl_data.contract import TaskContract
from world4rl_sim.task_contracts import TASK_CONTRACTS

ROOT = Path(__file__).parents[2]
DOUBLES = Path(__file__).parent / "doubles"


def names(specs: list[NodeSpec]) -> list[str]:
    return [spec.name for spec in specs]


def everything(tmp_path: Path) -> dict[str, list[NodeSpec]]:
    """Every mode with every node that it can hold."""
    full = GraphOptions(
        operator=True,
        policy=True,
        policy_checkpoint=str(tmp_path),
        world_model_checkpoint=str(tmp_path),
        teleop="joystick",
        rviz=True,
    )
    return {mode: graph(mode, full) for mode in MODES}


def ours(specs: list[NodeSpec]) -> list[NodeSpec]:
    """Without the programs of other projects."""
    return [spec for spec in specs if spec.package.startswith("world4rl_")]


def test_modes_hold_their_nodes(tmp_path: Path) -> None:
    assert names(graph("sim_arm")) == ["sim_arm", "arm_gate", "recorder"]
    assert names(graph("sim_arm", GraphOptions(record=False))) == ["sim_arm", "arm_gate"]
    assert names(everything(tmp_path)["sim_arm"]) == [
        "sim_arm", "arm_gate", "recorder", "policy", "imagination",
        "game_controller_node", "teleop", "rviz2", "scripted_operator",
    ]  # fmt: skip
    assert names(graph("real_arm")) == ["arm_gate", "recorder", "policy", "imagination"]
    assert names(graph("record")) == ["recorder"]
    assert names(everything(tmp_path)["imagine"]) == ["imagination"]
    assert names(graph("deploy_sim", GraphOptions(policy_checkpoint=str(tmp_path)))) == [
        "sim_arm", "arm_gate", "recorder", "policy", "deployment",
    ]  # fmt: skip


def test_fake_hardware_puts_the_simulated_arm_in_the_robots_place() -> None:
    specs = graph("real_arm", GraphOptions(use_fake_hardware=True))
    assert names(specs) == ["sim_arm", "arm_gate", "recorder", "policy", "imagination"]
    assert {spec.parameters["contract"] for spec in specs} == {"franka_sim_press"}
    assert all(spec.parameters["use_sim_time"] for spec in specs if spec.name != "sim_arm")


def test_a_real_arm_runs_on_real_time_and_the_real_contract() -> None:
    for spec in graph("real_arm"):
        assert spec.parameters["contract"] == "franka_real"
        assert spec.parameters["use_sim_time"] is False


def test_every_node_of_a_mode_reads_the_same_contract_and_clock(tmp_path: Path) -> None:
    """Guards against a gate on wall time beside a simulator on /clock, or two contracts in one graph."""
    for mode, specs in everything(tmp_path).items():
        if not specs:  # driver
            continue
        assert len({spec.parameters["contract"] for spec in ours(specs)}) == 1, mode
        assert len({spec.parameters["use_sim_time"] for spec in ours(specs) if spec.name != "sim_arm"}) == 1, mode


@pytest.mark.parametrize("contract", [*TASK_CONTRACTS.values(), "franka_real"])
def test_default_contracts_load(contract: str) -> None:
    assert TaskContract.load(contract).name == contract


def test_every_program_is_an_entry_point_of_its_package(tmp_path: Path) -> None:
    for specs in everything(tmp_path).values():
        for spec in ours(specs):
            setup = (ROOT / "src" / spec.package / "setup.py").read_text()
            assert f"{spec.executable} = {spec.module}:main" in setup, f"{spec.package} installs no {spec.executable}"


def test_parameter_files_are_keyed_by_their_node_under_any_namespace(tmp_path: Path) -> None:
    for specs in everything(tmp_path).values():
        for spec in specs:
            for path in spec.parameter_files:
                assert list(yaml.safe_load(path.read_text())) == [f"/**/{spec.name}"], path


def test_namespace_and_params_file_reach_every_node(tmp_path: Path) -> None:
    extra = tmp_path / "mine.yaml"
    extra.write_text("/**/arm_gate:\n  ros__parameters:\n    use_sim_time: true\n")
    for spec in graph("sim_arm", GraphOptions(namespace="lab/left", params_file=str(extra))):
        assert spec.full_name == f"/lab/left/{spec.name}"
        assert spec.parameter_files[-1] == extra, "the user's file must be read after the defaults"


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("fly", {}, "no mode 'fly'"),
        ("sim_arm", {"task": "juggle"}, "no task 'juggle'"),
        ("sim_arm", {"params_file": "/nowhere.yaml"}, "/nowhere.yaml is not a file"),
        ("sim_arm", {"policy_checkpoint": "/nowhere"}, "policy_checkpoint /nowhere is not a checkpoint folder"),
        ("imagine", {"reward_checkpoint": "/nowhere"}, "reward_checkpoint /nowhere is not a checkpoint folder"),
        ("deploy_sim", {}, "needs policy_checkpoint"),
    ],
)
def test_wrong_options_say_what_is_wrong(mode: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        graph(mode, parse_options(options))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"seed": "one"}, "seed must be an integer"),
        ({"record": "maybe"}, "record must be true or false"),
        ({"real_time_factor": "0"}, "real_time_factor must be above 0"),
        ({"namespace": "my lab"}, "namespace must be made of"),
        ({"log_level": "loud"}, "log_level must be"),
        ({"sped": "1"}, "no such option: 'sped'"),
    ],
)
def test_option_texts_are_checked(texts: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        parse_options(texts)


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


def test_a_backend_brings_its_controller(all_installed: None) -> None:
    specs, problems = companions("real_arm", replace(READY, backend="joint_trajectory", start_cameras=False))
    assert not problems
    assert specs[1].packages == ("controller_manager", "joint_trajectory_controller")
    assert specs[1].arguments[0] == "joint_trajectory_controller"  # type: ignore[union-attr]
    assert companions("real_arm", GraphOptions(start_driver=False, start_cameras=False)) == ([], [])


def test_devices_of_an_operator_come_with_their_drivers(all_installed: None) -> None:
    specs = {spec.name: spec for spec in graph("teleop", GraphOptions(teleop="joystick", contract="franka_sim"))}
    assert list(specs) == ["game_controller_node", "teleop"]
    assert specs["game_controller_node"].full_name == "/game_controller_node"
    assert specs["game_controller_node"].parameters == {"autorepeat_rate": 20.0}
    assert specs["teleop"].parameters["device"] == "joystick"
    assert names(graph("real_arm", GraphOptions(teleop="spacemouse")))[-2:] == ["spacenav_node", "teleop"]


def test_the_keyboard_is_a_command_to_type() -> None:
    """Neither starter gives a node a terminal."""
    assert "teleop" not in names(graph("sim_arm", GraphOptions(teleop="keyboard")))
    (text,) = notices("sim_arm", GraphOptions(teleop="keyboard", namespace="lab"))
    assert text.endswith(
        "ros2 run world4rl_control teleop --ros-args -r __ns:=/lab -p contract:=franka_sim_press -p device:=keyboard "
        "-p use_sim_time:=true"
    )
    with pytest.raises(OptionError, match="terminal of its own"):
        graph("teleop", GraphOptions(teleop="keyboard"))


def test_arguments_of_other_launch_files_are_refused_and_typos_noticed() -> None:
    refused, unknown = unknown_arguments("real_arm", ["robot_ip", "arm_prefix", "policy_chekpoint"])
    assert unknown == ["policy_chekpoint"]
    assert refused == ["arm_prefix: arms with a prefix are not supported"]


def test_the_page_lists_every_argument_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (`[^`]*`|empty) \| ", (ROOT / "docs/ros.md").read_text(), re.M))
    for name in {name for mode in MODES.values() for name in mode.options}:
        default = default_of(name)
        text = str(default).lower() if isinstance(default, bool) else str(default)
        assert told.get(name) == (f"`{text}`" if text else "empty"), f"docs/ros.md on {name}"

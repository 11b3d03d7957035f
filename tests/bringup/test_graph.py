"""The graph as data: which nodes each mode holds, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from world4rl_bringup.graph import MODES, graph, notices
from world4rl_bringup.options import GraphOptions, OptionError, default_of, parse_options
from world4rl_bringup.refusals import unknown_arguments
from world4rl_bringup.spec import CLOSING_S, SIGTERM_AFTER_S, NodeSpec
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


def test_the_recorder_has_longer_to_end_than_the_others() -> None:
    """It closes a bag; a gate or a policy that hangs must not have as long."""
    for spec in graph("sim_arm", GraphOptions(policy=True)):
        assert spec.sigterm_after_s == (CLOSING_S if spec.name == "recorder" else SIGTERM_AFTER_S), spec.name


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


def test_autostart_is_an_argument_where_there_is_something_to_activate(tmp_path: Path) -> None:
    """Elsewhere it would be swallowed without a word."""
    managed = {mode for mode, specs in everything(tmp_path).items() if any(spec.lifecycle for spec in specs)}
    assert {name for name, mode in MODES.items() if "autostart" in mode.options} == managed
    assert {"teleop", "imagine"}.isdisjoint(managed)


def test_policy_and_imagination_may_stand_on_another_machine_than_the_gate(tmp_path: Path) -> None:
    """Each node on one of both: a broken link between them then leaves the arm under the gate."""
    control, learning = graph("real_arm", GraphOptions(learned=False)), graph("learned")
    assert names(control) == ["arm_gate", "recorder"] and names(learning) == ["policy", "imagination"]
    assert {spec.full_name: spec for spec in control + learning} == {s.full_name: s for s in graph("real_arm")}
    with pytest.raises(OptionError, match=r"policy_checkpoint.*learned\.launch\.py"):
        graph("real_arm", GraphOptions(learned=False, policy_checkpoint=str(tmp_path)))


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


def test_devices_of_an_operator_come_with_their_drivers() -> None:
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

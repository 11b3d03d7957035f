"""The graph as data: which nodes each mode holds, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from world4rl_bringup import refusals as refusals_module
from world4rl_bringup.graph import MODES, graph
from world4rl_bringup.options import GraphOptions, OptionError, parse_options
from world4rl_bringup.refusals import refusals, unknown_arguments
from world4rl_bringup.spec import NodeSpec
from world4rl_data.contract import TaskContract
from world4rl_sim.task_contracts import TASK_CONTRACTS

ROOT = Path(__file__).parents[2]


def names(specs: list[NodeSpec]) -> list[str]:
    return [spec.name for spec in specs]


def everything(tmp_path: Path) -> dict[str, list[NodeSpec]]:
    """Every mode with every node that it can hold."""
    full = GraphOptions(
        operator=True, policy=True, policy_checkpoint=str(tmp_path), world_model_checkpoint=str(tmp_path)
    )
    return {mode: graph(mode, full) for mode in MODES}


def test_modes_hold_their_nodes(tmp_path: Path) -> None:
    assert names(graph("sim_arm")) == ["sim_arm", "arm_gate", "recorder"]
    assert names(graph("sim_arm", GraphOptions(record=False))) == ["sim_arm", "arm_gate"]
    assert names(everything(tmp_path)["sim_arm"]) == [
        "sim_arm", "arm_gate", "recorder", "policy", "imagination", "scripted_operator",
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
        assert len({spec.parameters["contract"] for spec in specs}) == 1, mode
        assert len({spec.parameters["use_sim_time"] for spec in specs if spec.name != "sim_arm"}) == 1, mode


@pytest.mark.parametrize("contract", [*TASK_CONTRACTS.values(), "franka_real"])
def test_default_contracts_load(contract: str) -> None:
    assert TaskContract.load(contract).name == contract


def test_every_program_is_an_entry_point_of_its_package(tmp_path: Path) -> None:
    for specs in everything(tmp_path).values():
        for spec in specs:
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


def test_a_real_arm_without_driver_address_or_controller_is_refused() -> None:
    """Whatever a real arm would need and is not ready is refused, not ignored."""
    reasons = "\n".join(refusals("real_arm", GraphOptions(robot_type="panda"), can_include_driver=True))
    for word in ("robot_type:=panda", "franka_bringup", "robot_ip is empty", "controller:=external"):
        assert word in reasons
    assert "use ros2 launch" in "\n".join(refusals("real_arm", GraphOptions(), can_include_driver=False))


def test_a_real_arm_with_all_it_needs_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals_module, "package_prefix", lambda package: Path("/opt/ros/jazzy"))
    ready = GraphOptions(robot_ip="172.16.0.2", controller="external")
    assert refusals("real_arm", ready, can_include_driver=True) == []
    assert refusals("real_arm", GraphOptions(start_driver=False), can_include_driver=False) == []
    assert refusals("real_arm", GraphOptions(use_fake_hardware=True), can_include_driver=False) == []


def test_arguments_of_things_that_are_not_ready_are_refused_and_typos_noticed() -> None:
    refused, unknown = unknown_arguments("real_arm", ["robot_ip", "backend", "policy_chekpoint"])
    assert unknown == ["policy_chekpoint"]
    assert len(refused) == 1 and refused[0].startswith("backend: only the cartesian_pose backend")

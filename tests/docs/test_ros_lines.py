"""`ros2` commands of the pages: the names are those of the graph, requests can be filled as written, programs exist.

Names are those of docs/interfaces.md, which a test of the running graph holds against it, and of the shipped contracts.
"""

from __future__ import annotations

import array
import importlib
import re
import sys
from typing import Any

import pytest
import yaml
from pages import ROOT, Command, commands

from world4rl_data.contract import TaskContract

sys.path.append(str(ROOT / "tests" / "bringup"))
import interface_page

pytestmark = pytest.mark.ros
CHECKED = {("service", "call"), ("action", "send_goal"), ("topic", "echo"), ("topic", "hz"), ("topic", "info")}
CHECKED |= {("param", "set"), ("run",), ("launch",)}
"""What the tests below, and that of launch files in test_docs.py, know of the `ros2` program."""
OTHERS = {("security", "create_keystore"), ("security", "create_enclave"), ("security", "create_permission")}
"""Of SROS 2's own tools, which the wheels have not."""
PLACEHOLDER = "TOPIC"
FOREIGN = {"spacenav": "spacenav_node", "joy": "game_controller_node"}
"""Programs of other projects, by package."""

CAMERAS = ("/camera/camera", "/wrist_camera/camera")
CAMERA_PARAMETERS = {"rgb_camera.enable_auto_exposure", "rgb_camera.enable_auto_white_balance"}
"""Of realsense2_camera, for the streams of franka_real."""


def positional(command: Command, *after: str) -> list[str]:
    """The words behind `ros2 AFTER ...` that are no options; of those, only --qos-reliability has a value."""
    words = command.words[1 + len(after) :]
    options = {at for at, word in enumerate(words) if word.startswith("-")}
    values = {at + 1 for at in options if words[at] == "--qos-reliability"}
    return [word for at, word in enumerate(words) if at not in options | values]


def imported(kind: str) -> Any:
    """The class of an interface such as ``std_srvs/srv/SetBool``."""
    package, group, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.{group}"), name)


def fill(message: Any, values: dict[str, Any]) -> None:
    """Set fields as `ros2 service call` does: each value becomes what the field holds.

    Raises:
        AssertionError: no such field, or its setter refuses the value.
    """
    if hasattr(message, "_check_fields"):  # since Jazzy setters refuse nothing unless they are asked to
        message._check_fields = True
    fields = message.get_fields_and_field_types()
    for name, value in values.items():
        assert name in fields, f"{type(message).__name__} has no field {name}, it has {[*fields]}"
        held = getattr(message, name)
        if hasattr(held, "get_fields_and_field_types"):
            fill(held, value)
        elif isinstance(held, array.array):
            setattr(message, name, array.array(held.typecode, value))
        else:
            assert not isinstance(held, bool | int) or type(value) is type(held), f"{name}: {value!r} for {held!r}"
            setattr(message, name, type(held)(value))


@pytest.mark.parametrize("command", commands("ros2", "service", "call"), ids=str)
def test_service_has_name_type_and_fields(command: Command) -> None:
    name, kind, *values = positional(command, "service", "call")
    assert interface_page.services()[name][0] == kind
    request = imported(kind).Request()
    fill(request, yaml.safe_load(values[0]) if values else {})
    assert values or not request.get_fields_and_field_types().keys() - {"structure_needs_at_least_one_member"}


@pytest.mark.parametrize("command", commands("ros2", "action", "send_goal"), ids=str)
def test_action_has_name_type_and_fields(command: Command) -> None:
    name, kind, values = positional(command, "action", "send_goal")
    assert interface_page.services()[name][0] == kind
    fill(imported(kind).Goal(), yaml.safe_load(values))


def observed() -> set[str]:
    """Topics of the shipped contracts."""
    contracts = (ROOT / "src/world4rl_data/world4rl_data/contracts").glob("*.yaml")
    found = [TaskContract.load(path) for path in contracts]
    return {stream.topic for contract in found for stream in (*contract.images, *contract.proprioception)}


@pytest.mark.parametrize("command", commands("ros2", "topic"), ids=str)
def test_topic_has_a_name_of_the_graph(command: Command) -> None:
    (name,) = positional(command, "topic", command.words[2])
    assert name in interface_page.topics().keys() | observed() | {PLACEHOLDER}


@pytest.mark.parametrize("command", commands("ros2", "param", "set"), ids=str)
def test_parameter_is_one_of_the_node(command: Command) -> None:
    """The page's table of parameters is generated from the parameter files."""
    node, name, _ = positional(command, "param", "set")
    if node in CAMERAS:
        assert name in CAMERA_PARAMETERS and f"{node}/color/image_raw" in observed()
        return
    table = interface_page.PAGE.read_text(encoding="utf-8").split("<!-- parameters:begin -->")[1]
    assert f"\n| {node.removeprefix('/world4rl/')} | `{name}` |" in table


@pytest.mark.parametrize("command", commands("ros2", "run"), ids=str)
def test_program_exists_in_its_package(command: Command) -> None:
    package, program = command.words[2:4]
    if package in FOREIGN:
        assert program == FOREIGN[package]
        return
    setup = (ROOT / "src" / package / "setup.py").read_text(encoding="utf-8")
    (target,) = re.findall(rf'"{program} = ([\w.]+):main"', setup)
    assert callable(importlib.import_module(target).main)
    given = {word.partition(":=")[0] for word in command.words[4:] if ":=" in word and not word.startswith("__")}
    source = (ROOT / "src" / package / f"{target.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert all(re.search(rf'"{name}"', source) for name in given), f"{command}: {program} declares no such parameter"


def test_every_ros2_command_is_of_a_known_kind() -> None:
    for command in commands("ros2"):
        verbs = {tuple(command.words[1:2]), tuple(command.words[1:3])}
        assert verbs & (CHECKED | OTHERS), f"no test looks at `{command}`"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("std_srvs/srv/SetBool", {"data": 1}),
        ("std_srvs/srv/SetBool", {"value": True}),
        ("world4rl_interfaces/srv/StopEpisode", {"outcome": 300}),
        ("world4rl_interfaces/srv/ImagineRollout", {"horizon": -1}),
    ],
)
def test_wrong_requests_are_noticed(kind: str, values: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        fill(imported(kind).Request(), values)

"""A running simulated graph against what is written of it: parameter files and the tables of docs/interfaces.md.

rclpy takes an override of an undeclared parameter without a word, so that a misspelt name would be ignored for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import interface_page
import pytest
import yaml
from live_graph import Observer, Snapshot
from rcl_interfaces.msg import ParameterType

from world4rl_bringup.graph import graph
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.running_graph import RunningGraph
from world4rl_bringup.spec import NodeSpec

pytestmark = pytest.mark.ros
# Parameters that every ROS node has.
STANDARD = ("use_sim_time", "start_type_description_service", "qos_overrides.")
NUMBERS = (ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_DOUBLE)


def specs_of(folder: str) -> list[NodeSpec]:
    options = GraphOptions(  # no episodes: the operator and the deployment start, and then only answer
        policy=True,
        imagination=True,
        operator=True,
        explorer=True,
        teleop="joystick",
        episodes=0,
        exit_when_done=False,
        bags_dir=folder,
        results=folder,
    )
    specs = [spec for spec in graph("sim_arm", options) if not spec.install]
    return [
        *specs,
        *(s for s in graph("deploy_sim", replace(options, policy_checkpoint=folder)) if s.name == "deployment"),
    ]


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[NodeSpec]:
    return specs_of(str(tmp_path_factory.mktemp("bags")))


@pytest.fixture(scope="module")
def seen(ros_domain: int, specs: list[NodeSpec], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """The graph runs once for all tests of this file, and only while it is looked at."""
    running = {spec.name for spec in specs}
    written = {name for name, (_, node) in interface_page.services().items() if node in running}
    page = interface_page.topics().values()
    topics = {topic.name for topic in page if topic.publishers.keys() & running and "/wrist_camera/" not in topic.name}

    def complete(snapshot: Snapshot) -> bool:
        names = {name for found in snapshot.services.values() for name in found}
        published = {name for found in snapshot.publishers.values() for name in found}
        return written <= names and topics <= published

    observer = Observer(ros_domain)
    try:
        with RunningGraph(specs, tmp_path_factory.mktemp("log")):
            snapshot = observer.snapshot(specs, complete)
    finally:
        observer.close()
    yield snapshot


def set_names(spec: NodeSpec) -> set[str]:
    names = set(spec.parameters)
    for path in spec.parameter_files:
        for section in yaml.safe_load(path.read_text()).values():
            names |= set(section["ros__parameters"])
    return names


def test_the_nodes_know_every_parameter_that_is_set(seen: Snapshot, specs: list[NodeSpec]) -> None:
    assert {spec.name: set_names(spec) - set(seen.parameters[spec.name]) for spec in specs} == {
        spec.name: set() for spec in specs
    }


def test_the_nodes_know_what_a_real_arm_sets(seen: Snapshot, tmp_path: Path) -> None:
    """The simulated graph sets fewer parameters than a real one."""
    options = GraphOptions(
        robot_ip="172.16.0.2",
        dead_man_topic="/joy",
        policy_checkpoint=str(tmp_path),
        trust_world_model=str(tmp_path),
        world_model_checkpoint=str(tmp_path),
        reward_checkpoint=str(tmp_path),
    )
    unknown = {spec.name: set(spec.parameters) - set(seen.parameters[spec.name]) for spec in graph("real_arm", options)}
    assert not any(unknown.values()), unknown


def test_every_parameter_stands_in_its_file_or_is_a_launch_argument(seen: Snapshot, specs: list[NodeSpec]) -> None:
    """A parameter that no file names is one that no user finds."""
    launch = {"contract", "checkpoint", "world_model_checkpoint", "results", "policy_checkpoint", "reward_checkpoint"}
    hidden = [
        f"{spec.name}.{name}"
        for spec in specs
        for name in seen.parameters[spec.name].keys() - set_names(spec) - launch
        if not name.startswith(STANDARD)
    ]
    assert not hidden, "in no parameter file:\n" + "\n".join(hidden)


def test_every_parameter_says_what_it_is_and_how_far_it_goes(seen: Snapshot, specs: list[NodeSpec]) -> None:
    poor = []
    for spec in specs:
        for name, told in seen.parameters[spec.name].items():
            if name.startswith(STANDARD):
                continue
            ranged = told.type not in NUMBERS or told.floating_point_range or told.integer_range
            if not told.description or not ranged:
                poor.append(f"{spec.name}.{name}")
    assert not poor, "without a description or a range:\n" + "\n".join(poor)


def test_topics_are_those_of_the_page(seen: Snapshot) -> None:
    """Whatever a node publishes or hears stands in docs/interfaces.md, with type, reliability and durability."""
    page = interface_page.topics()
    wrong = []
    for direction in ("publishers", "subscribers"):
        for node, found in getattr(seen, direction).items():
            for topic, (kind, qos) in found.items():
                if topic == "/clock" and direction == "subscribers":
                    continue
                row = page.get(topic)
                told = getattr(row, direction).get(node) if row else None
                if row is None or told is None or row.type != kind or told not in ("", qos):
                    wrong.append(f"{node} {direction} {topic} {kind} {qos}")
    assert not wrong, "not so in docs/interfaces.md:\n" + "\n".join(wrong)


def test_the_page_says_no_more_than_there_is(seen: Snapshot) -> None:
    """Topics that somebody publishes here; policy and imagination hear and act once a checkpoint is loaded."""
    live = {topic for found in seen.publishers.values() for topic in found}
    wrong = [
        f"{node} {direction} {topic.name}"
        for topic in interface_page.topics().values()
        for direction in ("publishers", "subscribers")
        for node in getattr(topic, direction).keys() & seen.publishers.keys() - {"policy", "imagination"}
        if topic.name in live
        and topic.name not in getattr(seen, direction)[node]
        and not (direction == "publishers" and node == "sim_arm")  # the cameras of other contracts
    ]
    assert not wrong, "in docs/interfaces.md, but not there:\n" + "\n".join(wrong)


def test_services_are_those_of_the_page(seen: Snapshot) -> None:
    page = {name: row for name, row in interface_page.services().items() if row[1] in seen.services}
    found = {name: (kind, node) for node, served in seen.services.items() for name, kind in served.items()}
    assert found == page, "docs/interfaces.md says something else"

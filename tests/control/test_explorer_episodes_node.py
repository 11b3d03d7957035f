"""Random episodes over DDS with the real gate and the real recorder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from arm_rig import ArmRig  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from world4rl_control.arm_gate_node import ArmGateNode  # noqa: E402
from world4rl_control.explorer_node import ExplorerNode  # noqa: E402
from world4rl_data.bag_reader import EpisodeBag, find_bags  # noqa: E402
from world4rl_data.contract import TaskContract  # noqa: E402
from world4rl_data.recorder_node import RecorderNode  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402

PRESS = TaskContract.load("franka_sim_press")
BOX = PRESS.workspace


def _parameters(**values: object) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in {"contract": PRESS.name, **values}.items()]


class Graph:
    """An arm that follows, cameras, gate, recorder and explorer in one executor."""

    def __init__(self, bags: Path, **explorer: object) -> None:
        self.rig = ArmRig()
        self.rig.follow = True
        self.gate = ArmGateNode(_parameters())
        self.recorder = RecorderNode(parameter_overrides=_parameters(bags_dir=str(bags), autostart=True))
        self.explorer = ExplorerNode(_parameters(seed=1, **explorer))
        for node in (self.gate, self.recorder, self.explorer):
            self.rig.executor_.add_node(node)
        self.enabler = self.rig.create_client(SetBool, "/explorer/enable")

    def enable(self, on: bool = True) -> SetBool.Response:
        return self.rig.call(self.enabler, SetBool.Request(data=on), 10.0)

    def close(self) -> None:
        self.rig.executor_.shutdown()
        for node in (self.explorer, self.recorder, self.gate, self.rig):
            node.destroy_node()


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    graph = Graph(tmp_path, episodes=2, episode_s=1.5)
    yield graph
    graph.close()


def _episodes(bags: Path) -> list[dict]:
    """The closed ones; one being written lies in a folder named .partial."""
    paths = [path for path in sorted(bags.glob("*/episode.json")) if path.parent.suffix != ".partial"]
    return [json.loads(path.read_text()) for path in paths]


def test_random_episodes_are_recorded_one_after_the_other(graph, tmp_path):
    rig = graph.rig
    rig.ready()
    rig.until(graph.enabler.service_is_ready)
    refused = graph.enable()
    assert not refused.success and "gate is disabled" in refused.message
    assert rig.enable().success
    rig.until(lambda: graph.explorer._gate.enabled, what="the gate's status at the explorer")
    rig.until(lambda: all(client.service_is_ready() for client in graph.explorer._asked.values()))
    assert graph.enable().success
    rig.until(lambda: len(_episodes(tmp_path)) == 2, 60.0, "two episodes")
    rig.until(lambda: "2 episodes" in graph.explorer._run.message)
    episodes = _episodes(tmp_path)
    assert all(episode["task"] == "random exploration" for episode in episodes)
    assert {episode["outcome_name"] for episode in episodes} == {"UNLABELLED"}
    for bag in find_bags(tmp_path):
        with EpisodeBag(bag) as opened:
            executed = [message for _, _, message in opened.messages([PRESS.executed_action_topic])]
        assert executed and all(action.source == Action.RANDOM for action in executed)
    values = np.array([action.values for action in rig.executed])
    assert np.abs(values).max() <= 1.0 and np.ptp(values[:, 0]) > 0.2
    places = np.array([[t.pose.position.x, t.pose.position.y, t.pose.position.z] for t in rig.targets])
    assert (places >= np.array(BOX.low) - 1e-6).all() and (places <= np.array(BOX.high) + 1e-6).all()
    count = len(rig.executed)
    rig.spin(0.5)
    assert len(rig.executed) == count, "it rests after its episodes"


def test_stopping_the_gate_closes_the_episode_as_interrupted(graph, tmp_path):
    rig = graph.rig
    rig.ready()
    rig.until(graph.enabler.service_is_ready)
    assert rig.enable().success
    rig.until(lambda: graph.explorer._gate.enabled)
    rig.until(lambda: all(client.service_is_ready() for client in graph.explorer._asked.values()))
    assert graph.enable().success
    rig.until(lambda: rig.executed, 30.0, "the first random action")
    rig.enable(False)
    rig.until(lambda: _episodes(tmp_path), 30.0, "the closed episode")
    assert [episode["outcome_name"] for episode in _episodes(tmp_path)] == ["INTERRUPTED"]
    rig.until(lambda: "disabled on request" in graph.explorer._run.message)

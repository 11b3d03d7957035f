"""scripted_operator and deployment over DDS, with the real arm and gate; recorder and policy are stood in for here."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ros

from rclpy.node import Node  # noqa: E402
from sim_rig import SimRig, node_process, rig  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from world4rl_data.episode import ActionSource, Outcome  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402
from world4rl_interfaces.srv import StartEpisode, StopEpisode  # noqa: E402

CONTRACT = "franka_sim_press"
SETTING: dict[str, Any] = {"contract": CONTRACT, "task": "press_button"}


class RecorderStandIn:
    """Writes down what it is asked, and answers as the recorder does; to the first start after `late_s`, to the first
    stop after `late_stop_s`."""

    def __init__(self, node: Node) -> None:
        self.notes: list[str] = []
        self.stops: list[StopEpisode.Request] = []
        self.executed: list[list[Action]] = []
        self.late_s = 0.0
        self.late_stop_s = 0.0
        self._recording = False
        self._ended: int | None = None  # the last outcome
        self._node = node
        self._services = [
            node.create_service(StartEpisode, "/world4rl/start_episode", self._on_start),
            node.create_service(StopEpisode, "/world4rl/stop_episode", self._on_stop),
        ]
        self._executed = node.create_subscription(Action, "/world4rl/executed_action", self._on_executed, 10)

    def close(self) -> None:
        """Leaves the names to the next test's stand-in."""
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_subscription(self._executed)

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        self.notes.append(request.note)
        self.executed.append([])
        time.sleep(self.late_s)
        self.late_s = 0.0
        response.success, response.uri = not self._recording, f"/bags/{len(self.notes)}"
        response.message = "episode is being recorded; stop or discard it first" if self._recording else ""
        self._recording = True
        return response

    def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        self.stops.append(request)
        response.success, self._recording = self._recording, False
        if response.success or request.outcome == self._ended:
            response.uri = f"/bags/{len(self.notes)}"
        self._ended = request.outcome
        time.sleep(self.late_stop_s)
        self.late_stop_s = 0.0
        return response

    def _on_executed(self, message: Action) -> None:
        self.executed[-1].append(message)


class PolicyStandIn:
    """Does nothing, at every new picture, while enabled; `hung` sends not even that until it is enabled afresh."""

    def __init__(self, node: SimRig) -> None:
        self._node, self.enabled, self.hung, self._last = node, False, False, None
        self._actions = node.create_publisher(Action, "/world4rl/action", 1)
        self._service = node.create_service(SetBool, "/world4rl/policy/enable", self._on_enable)
        self._timer = node.create_timer(0.02, self._act)

    def close(self) -> None:
        """Leaves the names to the next test's stand-in."""
        self._node.destroy_service(self._service)
        self._node.destroy_timer(self._timer)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.hung = self.hung and request.data
        self.enabled, response.success = request.data, True
        return response

    def _act(self) -> None:
        stamp = self._node.newest[self._node.cameras[0]].header.stamp
        if self.enabled and not self.hung and stamp != self._last:
            self._last = stamp
            action = Action(values=[0.0, 0.0, 0.0], source=int(ActionSource.POLICY))
            action.header.stamp = stamp
            self._actions.publish(action)


@pytest.fixture(scope="module")
def graph(ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimRig]:
    logs = tmp_path_factory.mktemp("log")
    with (
        node_process("world4rl_sim.sim_arm_node", logs / "sim_arm.log", **SETTING),
        node_process("world4rl_control.arm_gate_node", logs / "gate.log", contract=CONTRACT, use_sim_time=True),
        rig(CONTRACT) as node,
    ):
        node.wait_for(node.all_heard)
        yield node


@pytest.fixture
def policy(graph: SimRig) -> Iterator[PolicyStandIn]:
    policy = PolicyStandIn(graph)
    yield policy
    policy.close()


@pytest.fixture
def recorder(graph: SimRig) -> Iterator[RecorderStandIn]:
    recorder = RecorderStandIn(graph)
    yield recorder
    recorder.close()


def _run(graph: SimRig, module: str, tmp_path: Path, **parameters: Any) -> dict[str, Any]:
    """Runs an episode node to its end and returns its results file."""
    results, log = tmp_path / "results.json", tmp_path / "node.log"
    settings = {**SETTING, "use_sim_time": True, "exit_when_done": True, "results": results, **parameters}
    with node_process(module, log, **settings) as process:
        graph.wait_for(lambda: process.poll() is not None, 120.0)
    assert process.returncode == 0, log.read_text()
    return json.loads(results.read_text())


def test_deployment_says_what_is_missing(graph: SimRig, tmp_path: Path) -> None:
    """Without a policy node the deployment ends with its name, instead of waiting for ever."""
    log = tmp_path / "node.log"
    with node_process("world4rl_sim.deployment_node", log, **SETTING, timeout_s=8.0, record=False) as process:
        graph.wait_for(lambda: process.poll() is not None, 60.0)
    assert process.returncode == 1
    assert "policy/enable" in log.read_text()


def test_scripted_operator_records_and_labels_demonstrations(
    graph: SimRig, recorder: RecorderStandIn, tmp_path: Path
) -> None:
    """A demonstration is worth recording when its actions went through the gate, one per period, and it is labelled."""
    summary = _run(graph, "world4rl_sim.scripted_operator_node", tmp_path, episodes=2, first_seed=40, hesitation=0.0)
    assert (summary["state"], summary["episodes"], summary["successes"]) == ("done", 2, 2)
    assert recorder.notes == ["seed=40", "seed=41"]
    assert [stop.outcome for stop in recorder.stops] == [Outcome.SUCCESS, Outcome.SUCCESS]
    for actions, stop, result in zip(recorder.executed, recorder.stops, summary["results"], strict=True):
        stamps = [a.header.stamp.sec * 10**9 + a.header.stamp.nanosec for a in actions]
        assert {a.source for a in actions} == {ActionSource.SCRIPTED}
        assert result["steps"] == len(actions)
        assert {later - earlier for earlier, later in pairwise(stamps)} == {100_000_000}
        # success was seen three actions before the end, and the label says when
        assert int(stop.note.removeprefix("success_stamp_ns=")) == stamps[-3]


def test_an_episode_is_begun_again_when_the_answer_to_its_start_is_lost(
    graph: SimRig, recorder: RecorderStandIn, tmp_path: Path
) -> None:
    """The recorder did start: that recording is closed as interrupted, and not in the way of the new attempt."""
    recorder.late_s = 12.0
    module, timeout_s = "world4rl_sim.scripted_operator_node", 8.0
    summary = _run(graph, module, tmp_path, episodes=1, first_seed=40, hesitation=0.0, timeout_s=timeout_s)
    assert (summary["state"], summary["successes"]) == ("done", 1)
    assert recorder.notes == ["seed=40", "seed=40"]
    assert [stop.outcome for stop in recorder.stops] == [Outcome.INTERRUPTED, Outcome.SUCCESS]


def test_an_episode_is_not_begun_again_when_the_answer_to_its_stop_is_lost(
    graph: SimRig, recorder: RecorderStandIn, tmp_path: Path
) -> None:
    """The recorder did save it, and says so when it is asked again: no seed is recorded twice."""
    recorder.late_stop_s = 12.0
    module, timeout_s = "world4rl_sim.scripted_operator_node", 8.0
    summary = _run(graph, module, tmp_path, episodes=2, first_seed=40, hesitation=0.0, timeout_s=timeout_s)
    assert (summary["state"], summary["successes"]) == ("done", 2)
    assert recorder.notes == ["seed=40", "seed=41"]
    assert [stop.outcome for stop in recorder.stops] == [Outcome.SUCCESS] * 3
    assert [result["uri"] for result in summary["results"]] == ["/bags/1", "/bags/2"]


def test_deployment_counts_a_policy_that_does_nothing_as_failed(
    graph: SimRig, recorder: RecorderStandIn, policy: PolicyStandIn, tmp_path: Path
) -> None:
    """The policy is enabled for the episode only, acts for the task's horizon, and the failure is labelled as one."""
    summary = _run(graph, "world4rl_sim.deployment_node", tmp_path, episodes=1, first_seed=7)
    (result,) = summary["results"]
    assert (result["seed"], result["success"], result["steps"], result["outcome"]) == (7, False, 15, "failure")
    assert [stop.outcome for stop in recorder.stops] == [Outcome.FAILURE]
    assert not policy.enabled


def test_an_episode_in_which_the_arm_stops_moving_is_begun_again(
    graph: SimRig, recorder: RecorderStandIn, policy: PolicyStandIn, tmp_path: Path
) -> None:
    """After `timeout_s`, which is for the arm too; one policy that hangs once does not end the whole run."""
    policy.hung = True
    summary = _run(graph, "world4rl_sim.deployment_node", tmp_path, episodes=1, first_seed=7, timeout_s=8.0)
    assert (summary["state"], summary["results"][0]["outcome"]) == ("done", "failure")
    assert [stop.outcome for stop in recorder.stops] == [Outcome.INTERRUPTED, Outcome.FAILURE]
    assert "no action was executed for 8.0 s" in (tmp_path / "node.log").read_text()

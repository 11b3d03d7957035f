"""The runner against real processes and DDS: it starts, activates, reports a death, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from world4rl_bringup import running_graph
from world4rl_bringup.orphan_guard import OrphanGuard
from world4rl_bringup.paths import import_path
from world4rl_bringup.running_graph import GraphError, RunningGraph
from world4rl_bringup.spec import ORPHAN_S, NodeSpec

pytestmark = pytest.mark.ros
TOYS = Path(__file__).parent


def plain(**parameters: object) -> NodeSpec:
    return NodeSpec("toy_nodes", "plain", "talker", namespace="/toys", parameters=parameters)  # type: ignore[arg-type]


def managed(**parameters: object) -> NodeSpec:
    return NodeSpec("toy_nodes", "managed", "keeper", "/toys", parameters, lifecycle=True)  # type: ignore[arg-type]


@pytest.fixture
def env(ros_domain: int) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{TOYS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


@pytest.fixture
def client(ros_domain: int) -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = Node("test_client", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.test_executor = executor
    yield node
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def call(client: Node, kind: type, name: str, wait_answer: bool = True) -> object:
    service = client.create_client(kind, name)
    assert service.wait_for_service(timeout_sec=20)
    future = service.call_async(kind.Request())
    if wait_answer:
        client.test_executor.spin_until_future_complete(future, timeout_sec=20)
        assert future.done(), f"no answer from {name}"
        return future.result()
    client.test_executor.spin_once(timeout_sec=0.2)
    return None


def alive(pid: int) -> bool:
    """A zombie counts as ended: in a container nobody may collect an orphan's exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: object, timeout_s: float = 20.0) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_parameters_reach_a_node_with_their_types_and_the_last_one_wins(
    env: dict[str, str], client: Node, tmp_path: Path
) -> None:
    """Guards the order defaults file < inline values, wildcard keys under a namespace, and "07" staying a string."""
    defaults = tmp_path / "defaults.yaml"
    defaults.write_text("/**/talker:\n  ros__parameters:\n    from_file: 3\n    overridden: old\n")
    spec = plain(text="07", number=2.0, flag=True, overridden="new")
    spec = NodeSpec(**{**vars(spec), "parameter_files": (defaults,)})
    heard: list[str] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    client.create_subscription(String, "/toys/talker/parameters", lambda m: heard.append(m.data), latched)
    with RunningGraph([spec], tmp_path / "log", env):
        end = time.monotonic() + 20
        while not heard and time.monotonic() < end:
            client.test_executor.spin_once(timeout_sec=0.1)
    assert json.loads(heard[0]) == {"text": "07", "number": 2.0, "flag": True, "from_file": 3, "overridden": "new"}


def test_lifecycle_node_is_active_when_the_graph_is_up_and_all_end_in_order(
    env: dict[str, str], client: Node, tmp_path: Path
) -> None:
    with RunningGraph([plain(), managed()], tmp_path, env) as graph:
        assert call(client, GetState, "/toys/keeper/get_state").current_state.label == "active"  # type: ignore[attr-defined]
        assert sorted(graph.running) == ["keeper", "talker"]
    log = graph.log_path.read_text()
    assert "[talker] plain node ends in order" in log
    assert "ended: talker (exit code 0), keeper (exit code 0)" in log
    assert graph.running == []


def test_without_autostart_a_lifecycle_node_stays_unconfigured(
    env: dict[str, str], client: Node, tmp_path: Path
) -> None:
    with RunningGraph([managed()], tmp_path, env, autostart=False):
        state = call(client, GetState, "/toys/keeper/get_state").current_state.label  # type: ignore[attr-defined]
    assert state == "unconfigured"


def test_a_dying_node_ends_the_graph_with_its_name_and_exit_code(
    env: dict[str, str], client: Node, tmp_path: Path
) -> None:
    with (
        pytest.raises(GraphError, match=r"node talker ended by itself \(exit code 7\)") as error,
        RunningGraph([plain(), managed()], tmp_path, env) as graph,
    ):
        call(client, Trigger, "/toys/talker/die", wait_answer=False)
        graph.wait(timeout_s=20)
        pytest.fail("the death was not noticed")
    assert "about to die on request" in str(error.value), "the last lines of the dead node belong in the message"
    assert graph.running == []


def test_a_finished_job_ends_the_graph_without_an_error(env: dict[str, str], client: Node, tmp_path: Path) -> None:
    job = NodeSpec("toy_nodes", "plain", "job", "/toys", {"exit_code": 0}, finishes=True)
    with RunningGraph([job, managed()], tmp_path, env) as graph:
        call(client, Trigger, "/toys/job/die", wait_answer=False)
        assert graph.wait(timeout_s=20), "the end of the job was not noticed"
    assert graph.running == []
    assert "node job is done: ending the graph" in graph.log_path.read_text()


def test_a_failed_job_is_a_failure(env: dict[str, str], client: Node, tmp_path: Path) -> None:
    job = NodeSpec("toy_nodes", "plain", "job", "/toys", finishes=True)
    with (
        pytest.raises(GraphError, match=r"node job ended by itself \(exit code 7\)"),
        RunningGraph([job], tmp_path, env) as graph,
    ):
        call(client, Trigger, "/toys/job/die", wait_answer=False)
        graph.wait(timeout_s=20)


def test_a_refused_transition_names_the_node_and_leaves_nothing_running(env: dict[str, str], tmp_path: Path) -> None:
    graph = RunningGraph([plain(), managed(refuse=True)], tmp_path, env)
    with pytest.raises(GraphError, match="/toys/keeper refused to configure") as error, graph:
        pass
    assert "told to refuse" in str(error.value), "the node's own reason belongs in the message"
    assert graph.running == []
    assert "told to refuse" in graph.log_path.read_text()


def test_a_node_that_cannot_start_is_reported(env: dict[str, str], tmp_path: Path) -> None:
    spec = NodeSpec("toy_nodes", "absent", "absent", namespace="/toys")
    graph = RunningGraph([spec], tmp_path, env)
    with pytest.raises(GraphError, match=r"node absent ended by itself \(exit code 1\)"), graph:
        pass


def test_a_node_that_ignores_signals_is_killed(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_graph, "SIGKILL_AFTER_S", 0.5)
    rock = NodeSpec("toy_nodes", "stubborn", "rock", namespace="/toys", sigterm_after_s=0.5)
    with RunningGraph([rock], tmp_path, env) as graph:
        pass
    assert graph.running == []
    assert "rock (signal SIGKILL)" in graph.log_path.read_text()


def test_a_node_that_needs_long_to_end_gets_its_own_time_while_others_are_killed(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that closes a bag on a slow disk; no other node stays beside the arm for its sake."""
    monkeypatch.setattr(running_graph, "SIGKILL_AFTER_S", 0.2)
    rock = NodeSpec("toy_nodes", "stubborn", "rock", namespace="/toys", sigterm_after_s=0.2)
    slow = NodeSpec("toy_nodes", "closing", "slow", namespace="/toys", sigterm_after_s=30.0)
    with RunningGraph([slow, rock], tmp_path, env) as graph:
        pass
    log = graph.log_path.read_text()
    assert "slow (exit code 0), rock (signal SIGKILL)" in log
    assert log.index("rock did not end: sending SIGKILL") < log.index("[slow] closed")


def test_the_guard_is_told_what_each_node_gets_without_its_runner(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[int, float] = {}
    monkeypatch.setattr(OrphanGuard, "watch", lambda self, group, seconds=0.0: told.update({group: seconds}))
    slow = NodeSpec("toy_nodes", "managed", "slow", "/toys", sigterm_after_s=30.0)
    with RunningGraph([plain(), slow], tmp_path, env) as graph:
        assert [told[graph.pids[name]] for name in ("talker", "slow")] == [ORPHAN_S, 30.0]


def test_nodes_end_when_their_runner_is_killed(env: dict[str, str], tmp_path: Path) -> None:
    """SIGKILL leaves the runner no time to clean up; a gate left behind would be a second publisher on the arm."""
    program = (
        "import sys; from world4rl_bringup.run import RunningGraph, NodeSpec\n"
        "with RunningGraph([NodeSpec('toy_nodes', 'plain', 'talker', '/toys')], sys.argv[1]) as g:\n"
        "    print(g._processes[0].pid, flush=True)\n    g.wait()\n"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**env, "PYTHONPATH": import_path(env)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    pid = int(runner.stdout.readline())
    assert alive(pid)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert wait_for(lambda: not alive(pid)), "the node outlived its runner"


def test_ctrl_c_ends_the_command_line_runner_in_order(env: dict[str, str], tmp_path: Path) -> None:
    """The real recorder, started as a user starts it, is active and ends with exit code 0 on SIGINT."""
    words = [
        sys.executable,
        "-m",
        "world4rl_bringup.run",
        "record",
        f"bags_dir:={tmp_path}",
        "--log-dir",
        str(tmp_path),
    ]
    runner = subprocess.Popen(words, env={**env, "PYTHONPATH": import_path(env)}, stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    assert any("graph is up: /world4rl/recorder" in line for line in runner.stdout), "the recorder did not come up"
    runner.send_signal(signal.SIGINT)
    rest = runner.stdout.read()
    assert runner.wait(timeout=60) == 0
    assert "ended: recorder (exit code 0)" in rest

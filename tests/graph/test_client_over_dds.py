"""World4RLClient against the whole simulated graph: record, intervene, imagine, load; and what it says if it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.ros

import rclpy  # noqa: E402
from graph_rig import NAMESPACE, Lab, lab  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from world4rl_bringup.client import (  # noqa: E402
    ClientError,
    Given,
    NoAnswer,
    NotThere,
    Outcome,
    Progress,
    Refused,
    Stored,
    Uncertainty,
    World4RLClient,
)
from world4rl_bringup.policies import allowance, policy_folder, read_policy  # noqa: E402
from world4rl_bringup.policies_node import nodes_in_sight  # noqa: E402
from world4rl_data.build import build_store  # noqa: E402
from world4rl_data.convert import bag_to_episode  # noqa: E402
from world4rl_data.episode import ActionSource  # noqa: E402
from world4rl_data.store import EpisodeStore  # noqa: E402
from world4rl_data.validate import validate_bag  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402


class Hand(Node):
    """A person at the graph: HUMAN actions, the explorer's switch, and an ear on what was executed."""

    def __init__(self, graph: Lab) -> None:
        simulated_time = [Parameter("use_sim_time", value=True)]
        super().__init__("hand", namespace=f"/{NAMESPACE}", parameter_overrides=simulated_time)
        self.sources: list[int] = []
        self._contract = graph.contract
        self._actions = self.create_publisher(Action, graph.contract.action_topic, 1)
        self.create_subscription(Action, graph.contract.executed_action_topic, self._executed, 10)
        self.explorer = self.create_client(SetBool, "explorer/enable")
        self.answered: list[bool] = []

    def _executed(self, message: Action) -> None:
        self.sources.append(message.source)

    def steer(self, stop: threading.Event) -> None:
        """Push gently, as fast as the contract allows, until told to stop."""
        while not stop.wait(self._contract.period_s / 4):
            values = [0.2] + [0.0] * (self._contract.action_dim - 1)
            action = Action(values=values, source=int(ActionSource.HUMAN))
            action.header.stamp = self.get_clock().now().to_msg()
            self._actions.publish(action)


@pytest.fixture(scope="module")
def graph(ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def client(graph: Lab) -> Iterator[World4RLClient]:
    """Made while the test process has not initialised rclpy."""
    assert not rclpy.ok()
    with World4RLClient(NAMESPACE, timeout_s=120) as client:
        yield client


@pytest.fixture(scope="module")
def hand(graph: Lab, client: World4RLClient) -> Iterator[Hand]:
    """The caller's own ROS, in the default context, beside the client."""
    rclpy.init()
    node = Hand(graph)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    assert node.explorer.wait_for_service(60)  # a request sent before it is known gets lost
    yield node
    executor.shutdown()
    thread.join(10)
    node.destroy_node()
    rclpy.try_shutdown()


def wait_until(met: object, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not met():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_human_inside_random_actions_makes_an_intervention(
    graph: Lab, client: World4RLClient, hand: Hand, tmp_path: Path
) -> None:
    """The whole way of a source: message, gate, executed action, bag, store. The human keeps the arm until released."""
    client.reset(seed=3)
    assert not client.wait_for_arm().enabled
    client.enable_arm()
    started = client.start_episode("push_cube", operator_id="anna", note="seed=3")
    assert client.wait_for_recorder(lambda s: s.recording).episode_id == started.episode_id
    assert hand.explorer.call(SetBool.Request(data=True)).success
    wait_until(lambda: hand.sources.count(ActionSource.RANDOM) >= 4)
    stop = threading.Event()
    person = threading.Thread(target=hand.steer, args=(stop,))
    person.start()
    client.wait_for_arm(lambda s: s.enabled and s.active_source is ActionSource.HUMAN)
    wait_until(lambda: hand.sources.count(ActionSource.HUMAN) >= 4)
    stop.set()
    person.join()
    before = client.wait_for_arm().rejected_actions
    client.wait_for_arm(lambda s: s.rejected_actions > before)  # the explorer speaks, the absent human has the arm
    heard = len(hand.sources)
    client.release()
    client.wait_for_arm(lambda s: s.active_source is ActionSource.RANDOM)
    wait_until(lambda: len(hand.sources) >= heard + 3)
    uri = client.stop_episode(Outcome.FAILURE)
    assert hand.explorer.call(SetBool.Request(data=False)).success
    client.disable()
    status = client.wait_for_recorder(lambda s: not s.recording)
    assert (uri, status.outcome, status.dropped) == (started.uri, Outcome.FAILURE, 0)

    assert [f for f in validate_bag(uri, graph.contract) if f.level == "error"] == []
    episode = bag_to_episode(uri, graph.contract)
    R, H = int(ActionSource.RANDOM), int(ActionSource.HUMAN)
    changes = [s for i, s in enumerate(episode.action_sources) if i == 0 or s != episode.action_sources[i - 1]]
    assert (episode.source, changes) == ("intervention", [R, H, R])
    steered = episode.actions[episode.action_sources == H]
    assert (np.abs(steered[:, 1:]) < 1e-6).all(), "what is learned from is what the human did"
    build_store(graph.bags, tmp_path / "store", graph.contract, progress=False)
    with EpisodeStore.open(tmp_path / "store") as store:
        assert [entry.source for entry in store.infos] == ["intervention"]


def test_a_stop_whose_answer_was_lost_may_be_asked_again(client: World4RLClient) -> None:
    """Else a script would take a saved episode for a lost one, and record it once more."""
    started = client.start_episode()
    with pytest.raises(NoAnswer):
        client.stop_episode(Outcome.FAILURE, timeout_s=0.05)  # the recorder's grace alone takes longer
    client.wait_for_recorder(lambda s: not s.recording)
    wait_until(lambda: started.uri.is_dir())
    assert client.stop_episode(Outcome.FAILURE) == started.uri
    with pytest.raises(Refused, match="no episode is being recorded"):
        client.stop_episode(Outcome.SUCCESS)  # it has another label
    with (
        World4RLClient("lab", name="other") as other,
        pytest.raises(Refused, match="the last one has ended as FAILURE"),
    ):
        other.stop_episode(Outcome.FAILURE)  # one who began no episode must not think that it has one


def test_discarded_and_refused_episodes(client: World4RLClient) -> None:
    with pytest.raises(Refused, match="no episode is being recorded"):
        client.stop_episode(Outcome.SUCCESS)
    client.start_episode()
    with pytest.raises(Refused, match="is being recorded; stop or discard it first"):
        client.start_episode()
    client.discard_episode()
    assert client.wait_for_recorder(lambda s: not s.recording).outcome is Outcome.DISCARDED


def test_imagine_gives_arrays_from_live_given_and_stored_starts(graph: Lab, client: World4RLClient) -> None:
    dim = graph.contract.action_dim
    dreamt = client.imagine(3, samples=2, seed=5)
    assert (dreamt.frames.dtype, dreamt.frames.shape) == (np.uint8, (2, 3, 16, 32, 3)), "two cameras side by side"
    assert dreamt.actions.shape == (2, 3, dim) and dreamt.uncertainty.shape == (2, 3)
    assert dreamt.success_probability is not None and dreamt.success_probability.shape == (2, 3)
    assert dreamt.success_probability.min() >= 0 and dreamt.success_probability.max() <= 1
    assert dreamt.complete and dreamt.compute_s > 0
    assert (dreamt.progress, dreamt.task, dreamt.uncertainty_kind) == (None, "", Uncertainty.NONE)
    with pytest.raises(Refused, match="leave task empty"):
        client.imagine(3, task="lift")

    actions = np.linspace(-1, 1, 2 * dim).reshape(2, dim)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 2, 24, 32, 3), dtype=np.uint8)
    given = client.imagine(2, actions, Given(pictures, np.zeros((1, dim))), seed=1)
    assert np.allclose(given.actions[0], actions, atol=1e-6)
    again = client.imagine(2, actions, Given(pictures, np.zeros((1, dim))), seed=1)
    other = client.imagine(2, actions, Given(255 - pictures, np.zeros((1, dim))), seed=1)
    assert np.array_equal(given.frames, again.frames) and not np.array_equal(given.frames, other.frames)

    stored = client.imagine(2, actions, Stored(graph.store, 1), frames=False)
    assert stored.frames.size == 0 and stored.uncertainty.shape == (1, 2)
    with pytest.raises(Refused, match="no start for the dream"):
        client.imagine(2, actions, Stored(graph.store.parent / "nowhere"))
    with pytest.raises(ValueError, match="expected \\(horizon 3, action_dim\\)"):
        client.imagine(3, actions)


def test_long_dreams_tell_their_progress_and_can_be_cancelled(graph: Lab, client: World4RLClient) -> None:
    told: list[Progress] = []
    whole = client.imagine_many(4, samples=2, seed=5, start=Stored(graph.store), on_progress=told.append)
    assert whole.complete and whole.frames.shape[:2] == (2, 4)
    assert [(p.step, p.total) for p in told][-1] == (4, 4) and told[0].preview.startswith(b"\xff\xd8")

    cancel = threading.Event()

    def enough(progress: Progress) -> None:
        client.wait_for_arm()  # the client may be used from its own progress callback
        if progress.step >= 2:
            cancel.set()

    part = client.imagine_many(100, start=Stored(graph.store), frames=False, on_progress=enough, cancel=cancel)
    assert not part.complete and 2 <= part.uncertainty.shape[1] < 100
    assert "stopped after" in part.message

    def stumble(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.imagine_many(100, start=Stored(graph.store), frames=False, on_progress=stumble)
    end = time.monotonic() + 10
    while True:  # the dream left behind was cancelled: the node is free long before 100 steps are done
        try:
            assert client.imagine(1, start=Stored(graph.store)).complete
            break
        except Refused as error:
            assert "busy" in str(error) and time.monotonic() < end


def test_policy_is_loaded_enabled_and_acts(graph: Lab, client: World4RLClient, hand: Hand) -> None:
    assert client.load_policy(graph.checkpoints["policy"]) == graph.contract.hash
    assert client.load_model(graph.checkpoints["policy"]) == graph.contract.hash
    with pytest.raises(Refused, match="nowhere"):
        client.load_policy("nowhere")
    client.enable_arm()
    client.enable_policy()
    assert client.wait_for_policy(lambda s: s.enabled and s.rate_hz > 0).checkpoint == str(graph.checkpoints["policy"])
    client.wait_for_arm(lambda s: s.active_source is ActionSource.POLICY)
    client.disable()
    client.wait_for_policy(lambda s: not s.enabled)
    assert not client.wait_for_arm(lambda s: not s.enabled).enabled


def test_many_threads_and_a_callback_of_the_callers_node_share_one_client(
    graph: Lab, client: World4RLClient, hand: Hand
) -> None:
    """A client that waited on the caller's executor would wait for ever inside this callback."""
    from_callback: list[bool] = []

    def ask() -> None:
        if not from_callback:
            client.reset(seed=4)
            from_callback.append(True)

    timer = hand.create_timer(0.01, ask)

    def work(number: int) -> bool:
        if number % 2:
            return bool(client.release())
        return not client.wait_for_arm().enabled

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(16)))
    wait_until(lambda: from_callback)
    hand.destroy_timer(timer)


def test_errors_say_what_to_do(graph: Lab, client: World4RLClient, hand: Hand) -> None:
    with World4RLClient("world4rl", timeout_s=5) as wrong, pytest.raises(NotThere) as error:
        wrong.start_episode()
    assert f"node /{NAMESPACE}/recorder runs in another namespace" in str(error.value)
    with World4RLClient("lab", timeout_s=0.5, domain_id=102) as elsewhere, pytest.raises(NotThere) as error:
        elsewhere.imagine(3)
    assert "no node of /lab is in sight on ROS_DOMAIN_ID 102" in str(error.value)
    assert "imagine.launch.py" in str(error.value)
    with pytest.raises(NoAnswer, match="did not come to what was awaited"):
        client.wait_for_arm(lambda s: s.rejected_actions == -1, timeout_s=0.2)
    with World4RLClient(NAMESPACE) as closed:
        closed.wait_for_arm()
    with pytest.raises(ClientError, match="closed"):
        closed.enable_arm()


@pytest.mark.parametrize("name", ["sim_arm", "arm_gate", "recorder", "policy", "imagination", "explorer"])
def test_the_policy_file_allows_what_the_node_uses_and_no_more(graph: Lab, hand: Hand, name: str) -> None:
    """Too little, and the node is silent on a secured graph; too much, and the file protects nothing."""
    allowed = read_policy(policy_folder() / f"{name}.policy.xml")[1]
    wait_until(lambda: not allowed.missing_from(allowance(name, nodes_in_sight(hand, f"/{NAMESPACE}")[name])))
    used = nodes_in_sight(hand, f"/{NAMESPACE}")[name]
    assert used.missing_from(allowed) == [], "python -m world4rl_bringup.policies_node --write mends the files"


def test_a_client_closed_while_another_thread_waits_lets_it_go(graph: Lab) -> None:
    client = World4RLClient(NAMESPACE)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.wait_for_arm, lambda s: False)
        client.wait_for_arm()
        client.close()
        with pytest.raises(ClientError, match="closed"):
            waiting.result(10)

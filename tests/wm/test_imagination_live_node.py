"""The imagination node beside a robot that speaks: dreams from now, what is shown meanwhile, many bad requests."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagination_fuzz
import numpy as np
import pytest
import small_models
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from imagination_fuzz import Fuzzer, check_answer, resident_bytes
from imagination_graph import CONTRACT, Client, connected_client, good, image_message, running_node, wait_until
from visualization_msgs.msg import Marker

from world4rl.episodes.collect import Behaviour, run_episode
from world4rl.episodes.simulation import make_env
from world4rl_data.contract import TaskContract
from world4rl_data.store import EpisodeStore
from world4rl_interfaces.msg import Action
from world4rl_interfaces.srv import ImagineRollout
from world4rl_wm.imagination.dream_context import store_context
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ImagineRequest
from world4rl_wm.imagination.service import ImaginationService
from world4rl_wm.ros.live_observations_node import LiveObservations

pytestmark = pytest.mark.ros

PERIOD, SECOND = 100_000_000, 1_000_000_000
ROW = 5  # the dream starts here
FUZZED, WARM_UP = 300, 100
GROWTH = 24 * 2**20  # [bytes]
SETTLED_S = 0.1  # well below the streams' time-out


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """One episode of the simulated arm, seen by its cameras."""
    env = make_env("push_cube", CONTRACT)
    try:
        episode = run_episode(env, "push_cube", Behaviour("expert", 0.1), seed=3)
    finally:
        env.close()
    with EpisodeStore.create(tmp_path_factory.mktemp("live") / "store", CONTRACT) as store:
        store.append(episode)
    return store


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_models.save_all(tmp_path_factory.mktemp("checkpoints"), CONTRACT)


@pytest.fixture(scope="module")
def node(
    ros_domain: int, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen]:
    """The node with all models, started as the launch files do."""
    limits = {"max_horizon": imagination_fuzz.MAX_HORIZON, "max_frames": imagination_fuzz.MAX_FRAMES}
    models = {f"{kind}_checkpoint": str(path) for kind, path in folders.items()}
    with running_node(tmp_path_factory.mktemp("metadata"), **limits, **models, path_lifetime_s=2.5) as process:
        yield process


@pytest.fixture(scope="module")
def client(node: subprocess.Popen) -> Iterator[Client]:
    with connected_client() as client:
        yield client


def stamp(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // SECOND, nanosec=nanoseconds % SECOND)


def replay(
    client: Client, store: EpisodeStore, ahead: dict[str, float], silent: str = "", pause_s: float = 0.1
) -> None:
    """Publish the episode up to ROW, with its period between the stamps, whatever the pause between the messages is.

    `ahead`: by how many seconds a stream's clock (or that of the actions, "action") is ahead of this machine's.
    """
    time.sleep(1.2 * ROW * PERIOD / SECOND)  # its stamps must not mix with those of the replay before it
    first = client.node.get_clock().now().nanoseconds - ROW * PERIOD
    for row in range(ROW + 1):
        at = {name: stamp(first + row * PERIOD + round(ahead.get(name, 0) * SECOND)) for name in STREAMS}
        pose = PoseStamped()
        pose.header.stamp = at["position"]
        position = pose.pose.position
        position.x, position.y, position.z = map(float, store.proprio(0)[row])
        if silent != "position":
            client.pose.publish(pose)
        for stream in CONTRACT.images:
            image = image_message(np.ascontiguousarray(store.images(0, stream.name)[row]))
            image.header.stamp = at[stream.name]
            if silent != stream.name:
                client.images[stream.topic].publish(image)
        if row < ROW:
            action = Action(values=store.actions(0)[row].tolist(), source=Action.SCRIPTED)
            action.header.stamp = at["action"]
            client.acted.publish(action)
            time.sleep(pause_s)  # best effort, depth 1: each must be taken before the next one comes
    time.sleep(min(pause_s, SETTLED_S))  # a question overtakes messages that a busy node has not taken yet


STREAMS = [*(stream.name for stream in CONTRACT.streams), "action"]
QUESTION: dict[str, Any] = {"horizon": 3, "actions": [0.25] * 9, "seed": 5, "return_frames": True}


@pytest.mark.parametrize("ahead", [0, -3600, 3600], ids=["same clock", "robot behind", "robot ahead"])
def test_dream_from_now_is_that_from_the_recorded_episode(
    client: Client, store: EpisodeStore, folders: dict[str, Path], ahead: float
) -> None:
    """What is heard live, by whatever clock, gives the frames, actions and proprioception of the training store."""
    here = ImaginationService(LoadedModels())
    for kind in ("world_model", "reward"):
        here.models.load(str(folders[kind]))
    wanted = ImagineRequest(3, actions=[0.25] * 9, seed=5)
    start = store_context(str(store.path), ROW, CONTRACT, 4)
    assert start.actions.any() and start.frames[0].std() > 10, "an episode in which something happens"
    expected = here.imagine(wanted, live=lambda: start).rollout.success_probability.flatten().tolist()
    seen = []
    for pause_s in (0.05, 0.1, 0.2, 0.4, 0.8):  # a busy machine loses pictures that come quickly
        replay(client, store, dict.fromkeys(STREAMS, ahead), pause_s=pause_s)
        answer = client.ask(**QUESTION)
        if answer.success and np.allclose(answer.success_probability, expected, rtol=1e-5):
            return
        seen.append((answer.message, answer.success_probability))
    pytest.fail(f"{expected} was never dreamt, but {seen}")


@pytest.mark.parametrize(
    "ahead, silent, message",
    [
        (
            {"wrist": -5},
            "",
            "wrist (/wrist_camera/camera/color/image_raw) come now, but their stamps lie 5.00 s behind",
        ),
        ({"position": 60}, "", "machines' clocks differ"),
        ({"action": 30}, "", "executed actions (/world4rl/executed_action) come now, but their stamps lie"),
        ({}, "front", "(front: the newest message on /camera/camera/color/image_raw came"),
        ({}, "position", "(position: the newest message on /franka_robot_state_broadcaster/current_pose came"),
    ],
)
def test_what_is_wrong_with_the_present_is_named(
    client: Client, store: EpisodeStore, ahead: dict[str, float], silent: str, message: str
) -> None:
    seen = []
    for pause_s in (0.05, 0.1, 0.2, 0.4, 0.8):
        replay(client, store, ahead, silent, pause_s)
        answer = client.ask(**QUESTION)
        assert not answer.success
        if message in answer.message:
            return
        seen.append(answer.message)
    pytest.fail(f"never said {message}, but {seen}")


def test_what_is_executed_is_heard_on_the_contracts_topic() -> None:
    """Its own name, whatever namespace the node runs in: on another one dreams would start without a past."""
    contract = TaskContract.from_dict({**CONTRACT.to_dict(), "executed_action_topic": "/arm1/executed"})
    heard: list[str] = []
    node = SimpleNamespace(create_subscription=lambda _kind, topic, _take, _qos: heard.append(topic))
    LiveObservations(node).follow(SimpleNamespace(contract=contract, history=4))
    assert heard == [*contract.observation_topics, "/arm1/executed"]


def test_frames_numbers_and_paths_are_shown_meanwhile(client: Client) -> None:
    names = ("frames", "real", "uncertainty", "success_probability", "markers")

    def shown() -> bool:
        for messages in client.shown.values():
            messages.clear()
        answers.append(client.ask(**good()))
        assert answers[-1].success, answers[-1].message
        end = time.monotonic() + 2
        while not all(client.shown[name] for name in names) and time.monotonic() < end:
            time.sleep(0.01)
        return all(client.shown[name] for name in names)

    answers: list[ImagineRollout.Response] = []
    wait_until(shown, 30)  # discovery of the five topics takes its time
    answer = answers[-1]
    frames = [bytes(image.data) for image in answer.frames[:3]]
    assert all(bytes(image.data) in frames for image in client.shown["frames"])
    assert {m.data for m in client.shown["success_probability"]} <= set(answer.success_probability[:3])
    assert {m.data for m in client.shown["uncertainty"]} <= set(answer.uncertainty[:3])
    (real,) = client.shown["real"]
    assert (real.encoding, real.height, real.width) == ("rgb8", 16, 32) and bytes(real.data) not in frames
    clear, *lines = client.shown["markers"][-1].markers
    assert clear.action == Marker.DELETEALL
    assert [(line.id, line.type, line.action, len(line.points)) for line in lines] == [
        (number, Marker.LINE_STRIP, Marker.ADD, 4) for number in range(2)
    ]
    for line in lines:
        assert line.header.frame_id == CONTRACT.base_frame == "fr3_link0"
        assert len(line.colors) == 4 and line.scale.x > 0 and line.pose.orientation.w == 1.0
        assert (line.lifetime.sec, line.lifetime.nanosec) == (2, 500_000_000)
    assert lines[0].points[0] == lines[1].points[0] and lines[0].points[3] != lines[1].points[3]


def test_fuzzed_requests_over_dds_are_answered_and_the_node_does_not_grow(
    client: Client, node: subprocess.Popen, tmp_path: Path
) -> None:
    fuzzer = Fuzzer(CONTRACT, imagination_fuzz.make_stores(tmp_path, CONTRACT), seed=1)
    outcomes: Counter[bool] = Counter()
    warm = 0
    for number in range(FUZZED):
        if number == WARM_UP:
            warm = resident_bytes(node.pid)
        fields = fuzzer.request()
        outcomes[check_answer(fields, client.ask(**fields), CONTRACT)] += 1
    growth = resident_bytes(node.pid) - warm
    assert growth < GROWTH, f"{growth / 2**20:.1f} MiB more after {FUZZED - WARM_UP} requests"
    assert min(outcomes.values()) > FUZZED / 50, f"{outcomes}: both kinds must be tried"
    assert client.ask(**good()).success

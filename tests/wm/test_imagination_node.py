"""The imagination node over DDS, from another process: refusals that name the mend, then good answers."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import small_models
from action_msgs.msg import GoalStatus
from imagination_graph import CONTRACT, Client, connected_client, good, moment, running_node, wait_until
from sensor_msgs.msg import Image

from world4rl_interfaces.srv import ImagineRollout
from world4rl_wm.imagination.dream_context import store_context
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImaginationLimits, ImagineRequest
from world4rl_wm.imagination.service import ImaginationService

pytestmark = pytest.mark.ros

LONG = 3000


@pytest.fixture(scope="module")
def node(ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen]:
    """The node without any model."""
    limits = {"action_max_horizon": LONG, "action_max_seconds": 86400.0}
    with running_node(tmp_path_factory.mktemp("metadata"), **limits) as process:
        yield process


@pytest.fixture(scope="module")
def bare(node: subprocess.Popen) -> Iterator[Client]:
    """Of the node as it starts."""
    with connected_client() as client:
        yield client


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_models.save_all(tmp_path_factory.mktemp("checkpoints"), CONTRACT)


@pytest.fixture(scope="module")
def client(bare: Client, folders: dict[str, Path]) -> Client:
    """Of the node with the models in `folders`."""
    for path in folders.values():
        assert bare.load(path).success
    return bare


def test_answers_without_any_model(bare: Client) -> None:
    answer = bare.ask(**good())
    assert not answer.success and "world_model_checkpoint" in answer.message and "load_checkpoint" in answer.message


def test_bad_checkpoint_is_refused_and_good_ones_are_loaded(
    bare: Client, folders: dict[str, Path], tmp_path: Path
) -> None:
    refused = bare.load(tmp_path / "nowhere")
    assert not refused.success and "is not a folder" in refused.message
    for path in folders.values():
        answer = bare.load(path)
        assert answer.success, answer.message
        assert answer.contract_hash == CONTRACT.hash
    other = small_models.policy(small_models.small_contract("other")).save(tmp_path / "other")
    refused = bare.load(other)
    assert not refused.success and "name: small here, other there" in refused.message
    assert bare.ask(**good(use_policy=True)).success, "the policy from before is still there"


@pytest.mark.parametrize(
    "changes, mend",
    [
        ({"context": []}, "context is empty"),
        ({"context": moment()[:1]}, "front, wrist"),
        ({"context": moment() * 2}, "context_actions holds 0"),
        ({"context": [Image(), Image()]}, "is empty"),
        ({"actions": [float("nan")] * 9}, "must be finite"),
        ({"actions": [0.0] * 7}, "7 numbers"),
        ({"actions": []}, "use_policy true"),
        ({"horizon": 0, "actions": []}, "horizon is 0"),
        ({"horizon": 4_000_000_000, "use_policy": True}, "max_horizon"),
        ({"horizon": 101, "use_policy": True}, "give 1 to 100"),
        ({"samples": 4_000_000_000}, "to the action imagine_rollouts"),
        ({"context_source": 7}, "context_source 7"),
        ({"context_source": 2, "store_uri": "/no/store"}, "/no/store"),
        ({"context_source": 0}, "no live picture (front: no message on /camera"),
    ],
)
def test_wrong_request_is_refused_and_the_next_good_one_is_answered(client: Client, changes: dict, mend: str) -> None:
    refused = client.ask(**good(**changes))
    assert not refused.success and mend in refused.message and not refused.frames
    assert client.ask(**good(return_frames=False, samples=0)).success


@pytest.fixture(scope="module")
def here(folders: dict[str, Path]) -> ImaginationService:
    """The same models in this process."""
    service = ImaginationService(LoadedModels(), ImaginationLimits())
    for kind in ("world_model", "reward"):
        service.models.load(str(folders[kind]))
    return service


def test_given_context_gives_the_frames_that_the_models_dream(client: Client, here: ImaginationService) -> None:
    answer = client.ask(**good())
    assert answer.success, answer.message
    context = [small_models.camera_image(small_models.picture(i)) for i in range(2)]
    wanted = ImagineRequest(3, ContextSource.GIVEN, context, actions=[0.25] * 9, samples=2, seed=5)
    rollout = here.imagine(wanted).rollout
    assert len(answer.frames) == 6
    for i, image in enumerate(answer.frames):
        frame = rollout.frames[i // 3, i % 3].numpy()  # all steps of the first dream come first
        pixels = np.asarray(image.data).reshape(image.height, image.width, 3)
        assert (image.encoding, image.height, image.width, image.step) == ("rgb8", 16, 32, 96)
        np.testing.assert_array_equal(pixels[:, :16], frame[:3].transpose(1, 2, 0))  # the streams side by side
        np.testing.assert_array_equal(pixels[:, 16:], frame[3:].transpose(1, 2, 0))
    np.testing.assert_allclose(answer.success_probability, rollout.success_probability.flatten(), rtol=1e-5)
    np.testing.assert_allclose(answer.uncertainty, rollout.uncertainty.flatten(), rtol=1e-5)
    assert list(answer.actions) == [0.25] * 18
    assert answer.compute_time.sec + answer.compute_time.nanosec > 0


def test_answer_tells_progress_task_and_what_the_uncertainty_is(
    client: Client, folders: dict[str, Path], tmp_path: Path
) -> None:
    """A world model of several tasks and a reward model with progress, loaded for this test."""
    plain = client.ask(**good())
    assert plain.success and not plain.progress and not plain.task
    assert plain.uncertainty_kind == ImagineRollout.Response.UNCERTAINTY_NONE and not any(plain.uncertainty)
    refused = client.ask(**good(task="push"))
    assert not refused.success and "leave task empty" in refused.message
    model, judge = (
        small_models.world_model(CONTRACT, tasks=("press", "push")),
        small_models.reward_model(CONTRACT, True),
    )
    for number, made in enumerate((model, judge)):
        assert client.load(made.save(tmp_path / str(number))).success
    try:
        answer, other = client.ask(**good(task="push")), client.ask(**good(task="press"))
        assert (answer.task, other.task) == ("push", "press"), answer.message
        assert len(answer.progress) == 6 and all(0 <= value <= 1 for value in answer.progress)
        assert list(answer.progress) != list(other.progress)
        handle, _ = client.send_goal(**good(task="push"))
        result = client.wait(handle.get_result_async()).result
        assert result.task == "push" and list(result.progress) == list(answer.progress)
        refused = client.ask(**good(task="lift"))
        assert not refused.success and "has learned press, push only" in refused.message
    finally:
        for kind in ("world_model", "reward"):
            assert client.load(folders[kind]).success


def test_store_context(client: Client, here: ImaginationService, tmp_path: Path) -> None:
    store = small_models.small_store(tmp_path / "store", CONTRACT)
    fields = {"context": [], "context_source": 2, "store_uri": str(store.path)}
    answer = client.ask(**good(**fields, store_index=4))
    assert answer.success, answer.message
    wanted = ImagineRequest(3, actions=[0.25] * 9, samples=2, seed=5)
    rollout = here.imagine(wanted, live=lambda: store_context(str(store.path), 4, CONTRACT, 4)).rollout
    np.testing.assert_allclose(answer.success_probability, rollout.success_probability.flatten(), rtol=1e-5)
    refused = client.ask(**good(**fields, store_index=999))
    assert not refused.success and "store_index 999" in refused.message


def test_hand_typed_request_dreams_from_the_live_camera(client: Client) -> None:
    """ros2 service call ... "{horizon: 15, use_policy: true}" """
    stop = threading.Event()

    def robot() -> None:
        value = 0
        while not stop.wait(0.05):
            client.publish_robot(value % 256)
            value += 1

    thread = threading.Thread(target=robot)
    thread.start()
    try:
        answers: list[ImagineRollout.Response] = []

        def answered() -> bool:
            answers.append(client.ask(horizon=15, use_policy=True))
            return answers[-1].success

        wait_until(answered, 20)
    finally:
        stop.set()
        thread.join()
    assert len(answers[-1].success_probability) == 15 and len(answers[-1].actions) == 45 and not answers[-1].frames

    def refused() -> bool:
        answers.append(client.ask(horizon=15, use_policy=True))
        return not answers[-1].success

    wait_until(refused, 20)  # a camera that has gone silent is no start
    assert "the newest message on" in answers[-1].message and " s ago" in answers[-1].message


def test_action_reports_progress_and_gives_the_services_answer(client: Client) -> None:
    handle, feedback = client.send_goal(**good())
    answer = client.wait(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED and answer.result.success
    wait_until(lambda: feedback and feedback[-1].step == 3, 10)
    assert {f.total for f in feedback} == {3} and feedback[-1].preview.format == "jpeg"
    assert cv2.imdecode(np.frombuffer(feedback[-1].preview.data, np.uint8), cv2.IMREAD_COLOR).shape == (16, 32, 3)
    service = client.ask(**good())
    assert [f.data for f in service.frames] == [f.data for f in answer.result.frames]
    handle, _ = client.send_goal(**good(context=[]))
    answer = client.wait(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED and "context is empty" in answer.result.message


def test_long_dream_answers_busy_meanwhile_and_can_be_cancelled(client: Client) -> None:
    handle, feedback = client.send_goal(**good(horizon=LONG, samples=1, use_policy=True))
    wait_until(lambda: feedback)
    busy = client.ask(**good())
    assert not busy.success and "busy" in busy.message
    client.wait(handle.cancel_goal_async())
    answer = client.wait(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_CANCELED and "stopped after" in answer.result.message
    assert 0 < len(answer.result.frames) < LONG
    assert client.ask(**good()).success


def test_ends_cleanly_on_interrupt(node: subprocess.Popen, client: Client) -> None:
    node.send_signal(signal.SIGINT)
    assert node.wait(60) == 0

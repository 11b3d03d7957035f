"""The imagination node over DDS, from another process: refusals that name the mend, then good answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
import small_models
from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Float32

from world4rl_interfaces.action import ImagineRollouts
from world4rl_interfaces.srv import ImagineRollout, LoadCheckpoint
from world4rl_wm.dream_context import store_context
from world4rl_wm.imagination_service import ImaginationService
from world4rl_wm.imagine_request import ContextSource, ImaginationLimits, ImagineRequest
from world4rl_wm.loaded_models import LoadedModels

pytestmark = pytest.mark.ros

CONTRACT = small_models.small_contract()
SOURCE = Path(__file__).parents[2] / "src"
LONG = 3000


class Client:
    """Another process on the graph: asks, listens, and plays the robot's part."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("client")
        self.images = {s.topic: self.node.create_publisher(Image, s.topic, 1) for s in CONTRACT.images}
        self.pose = self.node.create_publisher(PoseStamped, CONTRACT.proprioception[0].topic, 1)
        self.shown: list[Image] = []
        self.spread: list[Float32] = []
        self.node.create_subscription(Image, "/world4rl/imagination/frames", self.shown.append, 10)
        self.node.create_subscription(Float32, "/world4rl/imagination/uncertainty", self.spread.append, 10)
        self.action = ActionClient(self.node, ImagineRollouts, "/world4rl/imagine_rollouts")
        self.clients = {
            kind: self.node.create_client(kind, name)
            for kind, name in (
                (ImagineRollout, "/world4rl/imagine_rollout"),
                (LoadCheckpoint, "/world4rl/imagination/load_checkpoint"),
            )
        }
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def wait(self, future: Any, timeout: float = 60.0) -> Any:
        wait_until(future.done, timeout)
        return future.result()

    def ask(self, **fields: Any) -> ImagineRollout.Response:
        return self.wait(self.clients[ImagineRollout].call_async(ImagineRollout.Request(**fields)))

    def load(self, path: Path) -> LoadCheckpoint.Response:
        return self.wait(self.clients[LoadCheckpoint].call_async(LoadCheckpoint.Request(uri=str(path))))

    def send_goal(self, **fields: Any) -> tuple[Any, list[ImagineRollouts.Feedback]]:
        feedback: list[ImagineRollouts.Feedback] = []
        goal = ImagineRollouts.Goal(**fields)
        sent = self.action.send_goal_async(goal, lambda message: feedback.append(message.feedback))
        return self.wait(sent), feedback

    def publish_robot(self, value: int) -> None:
        """One moment of two cameras and the arm, as a driver publishes them."""
        now = self.node.get_clock().now().to_msg()
        pose = PoseStamped()
        pose.header.stamp = now
        self.pose.publish(pose)
        for publisher in self.images.values():
            image = image_message(np.full((24, 32, 3), value, np.uint8))
            image.header.stamp = now
            publisher.publish(image)


def wait_until(condition: Any, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def image_message(rgb: np.ndarray) -> Image:
    height, width, _ = rgb.shape
    return Image(height=height, width=width, encoding="rgb8", step=3 * width, data=rgb.tobytes())


def moment() -> list[Image]:
    return [image_message(small_models.picture(i)) for i in range(2)]


def good(**changes: Any) -> dict[str, Any]:
    fields = {
        "context_source": ImagineRollout.Request.GIVEN,
        "context": moment(),
        "horizon": 3,
        "actions": [0.25] * 9,
        "samples": 2,
        "seed": 5,
        "return_frames": True,
    }
    return {**fields, **changes}


@pytest.fixture(scope="module")
def policy_entry_point(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the node finds policies by. Where world4rl_policy runs from source, its setup.py writes it to a folder."""
    if entry_points(group="world4rl.policies"):
        return []
    folder = tmp_path_factory.mktemp("metadata")
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
    subprocess.run(command, cwd=SOURCE / "world4rl_policy", check=True)
    return [str(folder)]


@pytest.fixture(scope="module")
def node(ros_domain: int, policy_entry_point: list[str]) -> Iterator[subprocess.Popen]:
    """The node without any model."""
    paths = [*policy_entry_point, *map(str, SOURCE.glob("world4rl*")), os.environ.get("PYTHONPATH", "")]
    options = [
        "-r",
        "__ns:=/world4rl",
        "-p",
        f"action_max_horizon:={LONG}",
        "-p",
        "action_max_seconds:=86400.0",
        "-p",
        "device:=cpu",
    ]
    command = [sys.executable, "-m", "world4rl_wm.imagination_node", "--ros-args", *options]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def client(node: subprocess.Popen) -> Iterator[Client]:
    rclpy.init()
    client = Client()
    try:
        for service in client.clients.values():
            assert service.wait_for_service(120), "the node does not come up"
        assert client.action.wait_for_server(60)
        yield client
    finally:
        client.executor.shutdown()
        client.thread.join(5)
        client.node.destroy_node()
        rclpy.shutdown()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_models.save_all(tmp_path_factory.mktemp("checkpoints"), CONTRACT)


def test_answers_without_any_model(client: Client) -> None:
    answer = client.ask(**good())
    assert not answer.success and "world_model_checkpoint" in answer.message and "load_checkpoint" in answer.message


def test_bad_checkpoint_is_refused_and_good_ones_are_loaded(
    client: Client, folders: dict[str, Path], tmp_path: Path
) -> None:
    refused = client.load(tmp_path / "nowhere")
    assert not refused.success and "is not a folder" in refused.message
    for path in folders.values():
        answer = client.load(path)
        assert answer.success, answer.message
        assert answer.contract_hash == CONTRACT.hash
    other = small_models.policy(small_models.small_contract("other")).save(tmp_path / "other")
    refused = client.load(other)
    assert not refused.success and "name: small here, other there" in refused.message
    assert client.ask(**good(use_policy=True)).success, "the policy from before is still there"


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
        ({"samples": 4_000_000_000}, "max_frames"),
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


def test_frames_are_shown_on_a_topic(client: Client) -> None:
    client.shown.clear()
    client.spread.clear()
    assert client.ask(**good()).success
    wait_until(lambda: client.shown and client.spread, 10)
    assert (client.shown[0].height, client.shown[0].width) == (16, 32) and client.spread[0].data > 0


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
    time.sleep(0.6)
    refused = client.ask(horizon=15, use_policy=True)
    assert not refused.success and "came 0." in refused.message, "a camera that has gone silent is no start"


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

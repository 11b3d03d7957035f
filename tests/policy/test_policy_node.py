"""The policy node over DDS: it acts on published pictures, only when enabled, and survives bad checkpoints."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from small_policy import pixels, small_contract, small_policy
from std_srvs.srv import SetBool

from world4rl_interfaces.msg import Action, PolicyStatus
from world4rl_interfaces.srv import LoadCheckpoint

pytestmark = pytest.mark.ros

CONTRACT = small_contract()
SOURCE = Path(__file__).parents[2] / "src"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CONFIGURE, ACTIVATE, DEACTIVATE = 1, 3, 4


class Robot:
    """Cameras and arm at 10 Hz, and everything that listens to the policy."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("robot")
        self.images = {s.name: self.node.create_publisher(Image, s.topic, 1) for s in CONTRACT.images}
        self.pose = self.node.create_publisher(PoseStamped, CONTRACT.proprioception[0].topic, 1)
        self.actions: list[Action] = []
        self.status: list[PolicyStatus] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.node.create_subscription(Action, "/world4rl/action", self.actions.append, 10)
        self.node.create_subscription(PolicyStatus, "/world4rl/policy/status", self.status.append, LATCHED)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        self.frames: list[tuple[int, np.ndarray]] = []  # stamp, (6, H, W)
        self.silent: set[str] = set()
        self.node.create_timer(CONTRACT.period_s, self.tick)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def tick(self) -> None:
        now = self.node.get_clock().now()
        pose = PoseStamped()
        pose.header.stamp = now.to_msg()
        self.pose.publish(pose)
        shots = [pixels(2 * len(self.frames) + i) for i in range(2)]
        self.frames.append((now.nanoseconds, np.concatenate(shots, axis=2).transpose(2, 0, 1)))
        for shot, (name, publisher) in zip(shots, self.images.items(), strict=True):
            if name not in self.silent:
                message = Image(height=16, width=16, encoding="rgb8", step=48, data=shot.tobytes(), header=pose.header)
                publisher.publish(message)

    def call(self, kind: Any, name: str, request: Any, timeout: float = 60.0) -> Any:
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(timeout), f"{name} did not come up"
        future = client.call_async(request)
        wait_until(future.done, timeout)
        self.node.destroy_client(client)
        return future.result()

    def change(self, transition: int, node: str = "policy") -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f"/world4rl/{node}/change_state", request).success

    def enable(self, data: bool) -> SetBool.Response:
        return self.call(SetBool, "/world4rl/policy/enable", SetBool.Request(data=data))

    def load(self, path: Path) -> LoadCheckpoint.Response:
        return self.call(LoadCheckpoint, "/world4rl/policy/load_checkpoint", LoadCheckpoint.Request(uri=str(path)))


def wait_until(condition: Any, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def start(name: str, *options: str) -> subprocess.Popen:
    paths = [*map(str, SOURCE.glob("world4rl*")), os.environ.get("PYTHONPATH", "")]
    words = ["-r", "__ns:=/world4rl", "-r", f"__node:={name}", *(word for option in options for word in ("-p", option))]
    command = [sys.executable, "-m", "world4rl_policy.policy_node", "--ros-args", *words]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})


@pytest.fixture(scope="module")
def robot(ros_domain: int) -> Iterator[Robot]:
    rclpy.init()
    robot = Robot()
    yield robot
    robot.executor.shutdown()
    robot.thread.join(5)
    robot.node.destroy_node()
    rclpy.shutdown()


@pytest.fixture(scope="module")
def node(robot: Robot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen]:
    """The node, configured with a contract and without a checkpoint, not active."""
    contract = tmp_path_factory.mktemp("contract") / "small.yaml"
    CONTRACT.save(contract)
    process = start("policy", f"contract:={contract}")
    assert robot.change(CONFIGURE)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_policy(CONTRACT).save(tmp_path_factory.mktemp("checkpoints") / "good_policy")


def test_enabling_is_refused_before_it_is_active_and_before_it_has_a_policy(
    robot: Robot, node: subprocess.Popen
) -> None:
    refused = robot.enable(True)
    assert not refused.success and "not active" in refused.message
    assert robot.change(ACTIVATE)
    refused = robot.enable(True)
    assert not refused.success and "load_checkpoint" in refused.message
    wait_until(lambda: robot.status and "no checkpoint" in robot.status[-1].message, 10)
    assert math.isnan(robot.status[-1].uncertainty)


def test_bad_checkpoints_are_refused_and_the_old_one_stays(
    robot: Robot, node: subprocess.Popen, checkpoint: Path, tmp_path: Path
) -> None:
    loaded = robot.load(checkpoint)
    assert loaded.success and loaded.contract_hash == CONTRACT.hash, loaded.message
    refused = robot.load(tmp_path / "nowhere")
    assert not refused.success and "nowhere" in refused.message and f"{checkpoint} stays" in refused.message
    other = small_policy(small_contract("other")).save(tmp_path / "other")
    refused = robot.load(other)
    assert not refused.success and "name: small here, other there" in refused.message
    (other / "model.safetensors").write_bytes(b"noise")
    assert not robot.load(other).success
    wait_until(lambda: robot.status[-1].checkpoint == str(checkpoint), 10)


def test_acts_on_pictures_only_while_enabled(robot: Robot, node: subprocess.Popen, checkpoint: Path) -> None:
    time.sleep(0.5)
    assert robot.actions == [], "nothing before it is enabled"
    assert robot.enable(True).success
    wait_until(lambda: len(robot.actions) >= 12, 30)
    refused = robot.load(checkpoint)
    assert not refused.success and "disable it first" in refused.message
    wait_until(lambda: robot.status[-1].enabled and robot.status[-1].rate > 0, 10)
    assert robot.enable(False).success
    time.sleep(0.3)
    actions, count = list(robot.actions), len(robot.actions)
    time.sleep(0.5)
    assert len(robot.actions) == count, "nothing after it is disabled"

    frames = dict(robot.frames)
    stamps = sorted(frames)
    policy, matched = small_policy(CONTRACT), 0
    for number, action in enumerate(actions):
        assert (action.source, action.policy_id) == (Action.POLICY, "good_policy")
        assert action.header.frame_id == CONTRACT.base_frame
        stamp = action.header.stamp.sec * 1_000_000_000 + action.header.stamp.nanosec
        seen = max(i for i, s in enumerate(stamps) if s <= stamp)
        before = seen if number == 0 else seen - 1  # the first frame of an episode is its own past
        pair = np.stack([frames[stamps[before]], frames[stamps[seen]]])
        wanted = policy.act(torch.from_numpy(pair)[None].float() / 127.5 - 1)[0].numpy()
        assert number > 0 or np.allclose(action.values, wanted, atol=1e-5)
        matched += np.allclose(action.values, wanted, atol=1e-5)
    # on a busy machine a picture may be lost or late, and the one before then counts
    assert matched >= len(actions) / 2


def test_status_and_diagnostics_tell_rate_and_latency(robot: Robot, node: subprocess.Popen) -> None:
    told = [s for s in robot.status if s.enabled and s.rate > 0]
    assert told and 4 < told[-1].rate < 12 and 0 < told[-1].latency_ms < 1000 and told[-1].uncertainty > 0
    wait_until(lambda: any(d.status[0].name == "world4rl: policy" for d in robot.diagnostics), 10)


def test_silent_camera_is_named_and_nothing_is_done(robot: Robot, node: subprocess.Popen) -> None:
    robot.silent.add("wrist")
    try:
        assert robot.enable(True).success
        wait_until(lambda: "wrist: newest message" in robot.status[-1].message, 10)
        count = len(robot.actions)
        time.sleep(0.4)
        assert len(robot.actions) == count
    finally:
        robot.silent.clear()
    wait_until(lambda: len(robot.actions) > count + 3, 20)  # and it goes on when the camera is back


def test_deactivating_disables(robot: Robot, node: subprocess.Popen) -> None:
    robot.enable(True)
    assert robot.change(DEACTIVATE)
    time.sleep(0.3)
    count = len(robot.actions)
    assert robot.change(ACTIVATE)
    time.sleep(0.5)
    assert len(robot.actions) == count, "it does not enable itself again"
    node.send_signal(signal.SIGINT)
    assert node.wait(60) == 0


def test_checkpoint_parameter_that_does_not_fit_is_refused(robot: Robot, tmp_path: Path) -> None:
    process = start("second", f"checkpoint:={tmp_path}")
    try:
        assert not robot.change(CONFIGURE, "second")
        state = robot.call(GetState, "/world4rl/second/get_state", GetState.Request())
        assert state.current_state.id == State.PRIMARY_STATE_UNCONFIGURED, "it lives, and can be configured again"
    finally:
        process.kill()
        process.wait()

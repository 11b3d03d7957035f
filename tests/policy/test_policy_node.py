"""The policy node over DDS: it acts on published pictures, only when enabled, and survives bad checkpoints."""

from __future__ import annotations

import math
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
import torch
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from policy_rig import ACTIVATE, CONFIGURE, CONTRACT, DEACTIVATE, LATCHED, Robot, start, wait_until
from sensor_msgs.msg import CompressedImage
from small_policy import small_contract, small_policy
from std_msgs.msg import Header

from world4rl_data.contract import TaskContract
from world4rl_interfaces.msg import Action, PolicyStatus
from world4rl_policy.policy_runner import RunnerConfig

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def robot(ros_domain: int) -> Iterator[Robot]:
    rclpy.init()
    robot = Robot()
    yield robot
    robot.close()
    rclpy.shutdown()


@pytest.fixture(scope="module")
def node(robot: Robot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen]:
    """The node, configured with a contract and without a checkpoint, not active; an interrupt ends it well."""
    contract = tmp_path_factory.mktemp("contract") / "small.yaml"
    CONTRACT.save(contract)
    process = start("policy", f"contract:={contract}")
    try:
        assert robot.change(CONFIGURE)
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_policy(CONTRACT).save(tmp_path_factory.mktemp("checkpoints") / "good_policy")


@pytest.fixture
def ready(robot: Robot, node: subprocess.Popen, checkpoint: Path) -> None:
    """The node, active, disabled and with the good policy, whatever the tests before did."""
    state = robot.call(GetState, "/world4rl/policy/get_state", GetState.Request())
    if state.current_state.id != State.PRIMARY_STATE_ACTIVE:
        assert robot.change(ACTIVATE)
    assert robot.enable(False).success and robot.load(checkpoint).success


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
    robot: Robot, ready: None, checkpoint: Path, tmp_path: Path
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


def test_acts_on_pictures_only_while_enabled(robot: Robot, ready: None) -> None:
    robot.actions.clear()
    time.sleep(0.5)
    assert robot.actions == [], "nothing before it is enabled"
    assert robot.enable(True).success
    wait_until(lambda: len(robot.actions) >= 12, 30)
    wait_until(lambda: robot.status[-1].enabled and robot.status[-1].rate > 0, 10)
    assert robot.enable(False).success
    disabled_ns = time.time_ns()
    time.sleep(0.5)
    assert max(robot.sent_ns) < disabled_ns, "nothing after it is disabled"
    for action in robot.actions:
        assert (action.source, action.policy_id) == (Action.POLICY, "good_policy")
        assert action.header.frame_id == CONTRACT.base_frame


def test_each_action_is_decided_on_the_newest_pictures_and_those_of_the_action_before(
    robot: Robot, ready: None
) -> None:
    """The next pictures are taken when the last are answered, so that it is known which ones the node has seen."""

    def answered() -> bool:
        """Pictures that a busy machine loses, or serves when they are too old, have none: then there are others."""
        count = len(robot.actions)
        robot.tick()
        end = time.monotonic() + 4 * max(stream.timeout_s for stream in CONTRACT.streams)
        while len(robot.actions) == count and time.monotonic() < end:
            time.sleep(0.005)
        return len(robot.actions) > count

    robot.timer.cancel()
    try:
        robot.actions.clear()
        assert robot.enable(True).success
        for _ in range(12):
            wait_until(answered)
            time.sleep(CONTRACT.period_s)  # it is too soon for another action before
        assert robot.enable(False).success
    finally:
        robot.timer.reset()

    frames = dict(robot.frames)
    policy, before, acted_ns = small_policy(CONTRACT), 0, 0
    for action in robot.actions:
        now_ns = action.header.stamp.sec * 1_000_000_000 + action.header.stamp.nanosec
        seen = max(stamp for stamp in frames if stamp <= now_ns)
        if now_ns - acted_ns > RunnerConfig().max_gap_periods * CONTRACT.period_s * 1e9:
            before = seen  # the first frame of a motion is its own past
        pair = np.stack([frames[before], frames[seen]])
        wanted = policy.act(torch.from_numpy(pair)[None].float() / 127.5 - 1)[0].numpy()
        np.testing.assert_allclose(action.values, wanted, atol=1e-5)
        before, acted_ns = seen, now_ns


def test_status_and_diagnostics_tell_rate_and_latency(robot: Robot, ready: None) -> None:
    assert robot.enable(True).success
    count = len(robot.actions)
    wait_until(lambda: len(robot.actions) >= count + 12, 30)
    robot.status.clear()
    robot.diagnostics.clear()
    wait_until(lambda: robot.status and len(robot.diagnostics) > 1, 10)
    told, status = robot.status[-1], robot.diagnostics[-1].status[0]
    assert robot.enable(False).success
    assert told.enabled and 0 < told.rate < 12 and 0 < told.latency_ms < 1000 and told.uncertainty > 0
    values = {pair.key: pair.value for pair in status.values}
    assert (status.name, values["enabled"]) == ("world4rl: policy", "True")
    assert int(values["actions"]) > 0 <= int(values["skipped periods"]) and 0 <= float(values["jitter [ms]"]) < 1000
    for delay in ("image stamp", "observation arrival"):
        p50, p99, most = (float(values[f"{delay} to action, {which} [ms]"]) for which in ("p50", "p99", "max"))
        assert 0 < p50 <= p99 <= most < 10_000


def test_silent_camera_is_named_and_nothing_is_done(robot: Robot, ready: None) -> None:
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


def test_another_checkpoint_takes_over_while_it_acts(robot: Robot, ready: None, tmp_path: Path) -> None:
    second = small_policy(CONTRACT, seed=1).save(tmp_path / "second_policy")
    other = small_policy(small_contract("other")).save(tmp_path / "other")
    robot.enable(True)
    count = len(robot.actions)
    wait_until(lambda: len(robot.actions) > count + 2, 20)
    refused = robot.load(other)
    assert not refused.success and "name: small here, other there" in refused.message
    count = len(robot.actions)
    wait_until(lambda: len(robot.actions) > count + 2, 20)
    assert robot.load(second).success
    wait_until(lambda: [a.policy_id for a in robot.actions[-3:]] == ["second_policy"] * 3, 20)
    ids = [a.policy_id for a in robot.actions[count:]]
    assert ids == sorted(ids), "good_policy, then second_policy and never back"
    assert robot.status[-1].enabled and robot.status[-1].checkpoint == str(second)
    robot.enable(False)


def test_nothing_leaves_once_disabling_has_been_answered(robot: Robot, ready: None) -> None:
    rng = np.random.default_rng(0)
    for _ in range(15):
        count = len(robot.actions)
        robot.enable(True)
        wait_until(lambda: len(robot.actions) > count, 20)  # noqa: B023
        time.sleep(rng.uniform(0, CONTRACT.period_s))
        robot.enable(False)
        disabled_ns = time.time_ns()
        time.sleep(1.2 * CONTRACT.period_s)
        assert max(robot.sent_ns) < disabled_ns


def test_deactivating_disables(robot: Robot, ready: None) -> None:
    robot.enable(True)
    assert robot.change(DEACTIVATE)
    deactivated_ns = time.time_ns()
    assert robot.change(ACTIVATE)
    time.sleep(0.5)
    assert max(robot.sent_ns, default=0) < deactivated_ns, "it does not enable itself again"


def test_a_picture_that_cannot_be_decoded_is_told_and_the_node_lives_on(robot: Robot, tmp_path: Path) -> None:
    """The graph ends with the node, and the gate with the graph."""
    values = CONTRACT.to_dict()
    values["images"][0] |= {"topic": "/front/compressed", "type": "sensor_msgs/msg/CompressedImage"}
    path = small_policy(TaskContract.from_dict(values)).save(tmp_path / "compressed")
    front = robot.node.create_publisher(CompressedImage, "/front/compressed", 1)
    timer = robot.node.create_timer(
        0.1, lambda: front.publish(CompressedImage(header=Header(stamp=robot.node.get_clock().now().to_msg())))
    )
    said: list[PolicyStatus] = []
    listener = robot.node.create_subscription(PolicyStatus, "/world4rl/compressed/status", said.append, LATCHED)
    process = start("compressed", f"checkpoint:={path}")
    try:
        assert robot.change(CONFIGURE, "compressed") and robot.change(ACTIVATE, "compressed")
        wait_until(lambda: sum("front: compressed image is empty" in s.message for s in said) > 1)
        waits = "enabled; it waits: front: compressed image is empty: look at the camera"
        assert robot.enable(True, "compressed").message == waits
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        robot.node.destroy_subscription(listener)
        robot.node.destroy_timer(timer)
        robot.node.destroy_publisher(front)
        if process.poll() is None:
            process.kill()
            process.wait()


def test_checkpoint_parameter_that_does_not_fit_is_refused(robot: Robot, tmp_path: Path) -> None:
    process = start("second", f"checkpoint:={tmp_path}")
    try:
        assert not robot.change(CONFIGURE, "second")
        state = robot.call(GetState, "/world4rl/second/get_state", GetState.Request())
        assert state.current_state.id == State.PRIMARY_STATE_UNCONFIGURED, "it lives, and can be configured again"
    finally:
        process.kill()
        process.wait()

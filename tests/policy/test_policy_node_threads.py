"""The policy node's threads over DDS: a slow policy or a slow load keeps nobody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
import torch
from policy_rig import ACTIVATE, CLEANUP, CONFIGURE, CONTRACT, DEACTIVATE, Robot, wait_until
from rclpy.executors import SingleThreadedExecutor
from recorded_policy import Recorded
from small_policy import SIZE, small_contract, small_policy

from world4rl_policy import policy_loading
from world4rl_policy.policy_node import PolicyNode
from world4rl_policy.surprise import parts_of
from world4rl_policy.trust_limit import TrustLimit
from world4rl_wm.checkpoint_identity import weights_digest
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig

pytestmark = pytest.mark.ros


class Gated(Recorded):
    """A policy that decides, and is loaded, only while its gates are open."""

    contract = CONTRACT

    def __init__(self) -> None:
        super().__init__()
        self.may_load, self.may_act = threading.Event(), threading.Event()
        self.loading, self.deciding = threading.Event(), threading.Event()
        self.may_load.set()
        self.may_act.set()

    def act(self, frames: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        self.deciding.set()
        assert self.may_act.wait(30)
        return super().act(frames, deterministic)


@pytest.fixture()
def policies(monkeypatch: pytest.MonkeyPatch) -> dict[str, Gated]:
    """By the last part of the checkpoint's path; others are real checkpoints."""
    found = {name: Gated() for name in ("first", "second")}
    real = policy_loading.load_policy

    def load(path: str, device: str) -> object:
        policy = found.get(Path(path).name)
        if policy is None:
            return real(path, device)
        policy.loading.set()
        assert policy.may_load.wait(30)
        return policy

    monkeypatch.setattr(policy_loading, "load_policy", load)
    return found


@pytest.fixture()
def parameters(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    """Of the node; `trust_threshold` as the test's parameter brings an untrained world model along."""
    threshold = getattr(request, "param", None)
    if threshold is None:
        return {}
    network = DenoiserConfig(6, SIZE, 3, proprio_dim=3, widths=(8, 8), layers=1)
    path = WorldModel(WorldModelConfig(network), CONTRACT).save(tmp_path / "world_model")
    TrustLimit(dict.fromkeys(parts_of(CONTRACT), 1.0), 1.0, 3, weights_digest(path), 1, 1, 0, (0.0, 1.0)).save(path)
    return {"world_model_checkpoint": path, "world_model_device": "cpu", "trust_threshold": threshold}


@pytest.fixture()
def robot(ros_domain: int, parameters: dict[str, object]) -> Iterator[Robot]:
    """With the policy node in this process, active."""
    threads, arguments = torch.get_num_threads(), ["--ros-args", "-r", "__ns:=/world4rl"]
    arguments += [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=arguments)
    node, executor, robot = PolicyNode(), SingleThreadedExecutor(), Robot()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    assert robot.change(CONFIGURE) and robot.change(ACTIVATE)
    yield robot
    executor.shutdown()
    spinning.join(5)
    node.destroy_node()
    robot.close()
    rclpy.shutdown()
    torch.set_num_threads(threads)


def test_the_node_answers_and_disables_while_the_policy_decides(robot: Robot, policies: dict[str, Gated]) -> None:
    first = policies["first"]
    assert robot.load("/first").success
    first.deciding.clear()
    first.may_act.clear()
    assert robot.enable(True).success
    assert first.deciding.wait(20)
    robot.status.clear()
    wait_until(lambda: len(robot.status) >= 2, 20)  # it still reports
    assert robot.enable(False).success
    first.may_act.set()
    time.sleep(0.5)
    assert robot.actions == [], "what was being decided is thrown away"
    assert robot.enable(True).success
    wait_until(lambda: len(robot.actions) > 2, 20)


def test_the_policy_acts_while_another_is_loaded_and_a_third_is_told_to_wait(
    robot: Robot, policies: dict[str, Gated]
) -> None:
    assert robot.load("/first").success and robot.enable(True).success
    wait_until(lambda: len(robot.actions) > 2, 20)
    policies["second"].may_load.clear()
    loading = robot.ask_load("/second")
    busy = robot.load("/first")
    assert not busy.success and "being loaded" in busy.message
    count = len(robot.actions)
    wait_until(lambda: len(robot.actions) > count + 5, 20)
    assert not loading.done() and {a.policy_id for a in robot.actions} == {"first"}
    policies["second"].may_load.set()
    wait_until(loading.done, 20)
    assert loading.result().success
    wait_until(lambda: robot.actions[-1].policy_id == "second", 20)


def test_what_is_loaded_when_the_node_is_cleaned_up_is_not_put_to_work(
    robot: Robot, policies: dict[str, Gated]
) -> None:
    policies["first"].may_load.clear()
    loading = robot.ask_load("/first")
    assert policies["first"].loading.wait(20)
    assert robot.change(DEACTIVATE) and robot.change(CLEANUP)
    policies["first"].may_load.set()
    wait_until(loading.done, 20)
    assert not loading.result().success and "cleaned up" in loading.result().message
    refused = robot.load("/first")
    assert not refused.success and "not configured" in refused.message
    assert robot.change(CONFIGURE) and robot.load("/first").success


def test_policy_of_another_contract_waits_until_it_is_disabled(
    robot: Robot, policies: dict[str, Gated], tmp_path: Path
) -> None:
    """The node has no contract of its own here: any will do, but not in the middle of an episode."""
    other = small_policy(small_contract("other")).save(tmp_path / "other")
    assert robot.load("/first").success and robot.enable(True).success
    wait_until(lambda: len(robot.actions) > 2, 20)
    refused = robot.load(other)
    assert not refused.success and "disable it first" in refused.message and "/first stays" in refused.message
    assert robot.enable(False).success
    assert robot.load(other).success and robot.enable(True).success
    wait_until(lambda: robot.actions[-1].policy_id == "other", 20)


def told(robot: Robot) -> dict[str, str]:
    """The newest diagnostics."""
    robot.diagnostics.clear()
    wait_until(lambda: robot.diagnostics, 20)
    return {pair.key: pair.value for pair in robot.diagnostics[-1].status[0].values}


@pytest.mark.parametrize("parameters", [1e-3], indirect=True)
def test_a_policy_that_is_not_trusted_is_stopped_until_it_is_enabled_again(
    robot: Robot, policies: dict[str, Gated]
) -> None:
    assert robot.load("/first").success
    for _ in range(2):
        count = len(robot.actions)
        assert robot.enable(True).success
        wait_until(lambda: "not trusted" in robot.status[-1].message, 30)
        assert not robot.status[-1].enabled and "for 3 steps" in robot.status[-1].message
        stopped_ns = time.time_ns()
        # a step needs two pictures, and three must surprise; the actions' topic may be later than the status
        wait_until(lambda: len(robot.actions) >= count + 4, 20)  # noqa: B023
        time.sleep(3 * CONTRACT.period_s)
        assert max(robot.sent_ns) < stopped_ns
        assert robot.enable(False).success and "not trusted" in robot.status[-1].message


@pytest.mark.parametrize("parameters", [1e5], indirect=True)
def test_a_policy_that_is_trusted_goes_on(robot: Robot, policies: dict[str, Gated], tmp_path: Path) -> None:
    assert robot.load("/first").success and robot.enable(True).success
    wait_until(lambda: len(robot.actions) > 8, 30)
    values = told(robot)
    assert int(values["steps checked"]) > 0 and float(values["surprise [limit = 1]"]) < 1
    assert robot.status[-1].enabled and robot.status[-1].message == ""
    other = small_policy(small_contract("other")).save(tmp_path / "other")
    refused = robot.load(other)
    assert not refused.success and "name: small here, other there" in refused.message, "nobody could watch that one"

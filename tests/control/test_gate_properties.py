"""SafetyGate under thousands of random and hostile actions on an arm that follows badly: the limits always hold."""

import dataclasses

import numpy as np
import pytest

from world4rl_control import pose
from world4rl_control.gate import SafetyGate
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource


def _some_rotations() -> TaskContract:
    """A contract that turns about z only: partly dropped rotation is the hard case of the lag limit."""
    full = TaskContract.load("franka_sim")
    kept = tuple(dim for dim in full.actions if dim.name not in ("rx", "ry"))
    return dataclasses.replace(full, actions=kept)


CONTRACTS = {
    "press": TaskContract.load("franka_sim_press"),
    "full": TaskContract.load("franka_sim"),
    "real": TaskContract.load("franka_real"),
    "turns about z": _some_rotations(),
}


class BadArm:
    """Follows a random part of the way, slips, and is pushed now and then."""

    def __init__(self, rng: np.random.Generator, push: bool) -> None:
        self.rng, self.push = rng, push
        self.position, self.quat = np.array([0.45, 0.0, 0.3]), np.array([1.0, 0.0, 0.0, 0.0])

    def follow(self, position: np.ndarray, quat: np.ndarray) -> None:
        share = self.rng.uniform(0.0, 1.0)
        self.position = self.position + share * (position - self.position)
        self.quat = pose.rotate_by(share * pose.rotation_between(self.quat, quat), self.quat)
        if self.push and self.rng.random() < 0.05:
            self.position = self.position + self.rng.normal(0.0, 0.1, 3)
            self.quat = pose.rotate_by(self.rng.normal(0.0, 0.3, 3), self.quat)


def _wish(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.choice([0.2, 1.0, 30.0]) * rng.normal(size=size)


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("push", [False, True])
def test_limits_hold_for_any_action_on_any_arm(name, push):
    contract, rng = CONTRACTS[name], np.random.default_rng(3)
    gate, arm = SafetyGate(contract), BadArm(rng, push)
    gate.enable(arm.position, arm.quat, 0.08, 0.0)
    low, high = np.array(contract.workspace.low), np.array(contract.workspace.high)
    now_s = 0.0
    for i in range(1500):
        before = gate.target if i else (arm.position, arm.quat)
        waited_s = rng.uniform(0.81, 1.2) * contract.period_s if i else contract.period_s
        now_s += waited_s
        out = gate.apply(_wish(rng, contract.action_dim), ActionSource.POLICY, arm.position, arm.quat, now_s)
        assert out.accepted
        assert np.isfinite(out.executed).all() and np.abs(out.executed).max() <= 1.0
        lag = out.target_position - arm.position
        assert np.linalg.norm(lag) <= gate.limits.max_lag_m + 1e-7
        turn_lag = pose.length(pose.rotation_between(arm.quat, out.target_quat))
        assert turn_lag <= gate.limits.max_lag_rad + 1e-6
        if not push:
            assert (out.target_position >= low - 1e-9).all() and (out.target_position <= high + 1e-9).all()
            _executed_gives_the_target(gate, before, out, waited_s)
        arm.follow(out.target_position, out.target_quat)


def _executed_gives_the_target(gate: SafetyGate, before, out, waited_s: float) -> None:
    """Applying `executed` by the interface's definition of an action, and nothing else, lands on the target.

    The step is within the contract's own numbers, and one that came early within its share of them.
    """
    box, share = gate.contract.workspace, min(1.0, waited_s / gate.contract.period_s)
    scaled = {dim.name: value * dim.scale for dim, value in zip(gate.contract.actions, out.executed)}
    move = np.array([scaled.get(n, 0.0) for n in ("dx", "dy", "dz")])
    turn = np.array([scaled.get(n, 0.0) for n in ("rx", "ry", "rz")])
    np.testing.assert_allclose(before[0] + move, out.target_position, atol=1e-7)
    assert pose.length(move) <= min(box.max_step_m, box.max_speed_m_s * share * gate.contract.period_s) + 1e-7
    if gate.layout.turns:
        gap = pose.rotation_between(pose.rotate_by(turn, before[1]), out.target_quat)
        assert pose.length(gap) < 1e-6
        assert pose.length(turn) <= box.max_step_rad * share + 1e-6


def test_the_gate_is_transparent_for_small_actions_on_an_arm_that_follows():
    """What is learned must be what was asked whenever no limit is touched."""
    contract, rng = CONTRACTS["full"], np.random.default_rng(0)
    gate = SafetyGate(contract)
    position, quat = np.array([0.45, 0.0, 0.3]), np.array([1.0, 0.0, 0.0, 0.0])
    gate.enable(position, quat, 0.08, 0.0)
    for i in range(50):
        action = rng.uniform(-0.5, 0.5, contract.action_dim)
        out = gate.apply(action, ActionSource.POLICY, position, quat, 0.1 * i)
        np.testing.assert_allclose(out.executed[:6], action[:6], atol=1e-6)
        position, quat = out.target_position, out.target_quat

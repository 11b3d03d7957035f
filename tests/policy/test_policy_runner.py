"""One policy and its memory, without ROS: which frames it sees, and which of its answers are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from recorded_policy import CONTRACT, Recorded, observation
from small_policy import SIZE, small_policy

from world4rl_data.observation import Observation
from world4rl_policy.policy_runner import PolicyFailure, PolicyRunner, RunnerConfig

PERIOD = 100_000_000


def act(runner: PolicyRunner, shot: Observation) -> np.ndarray:
    return runner.infer(runner.remember(shot))


def test_history_repeats_the_first_frame_and_starts_anew_on_reset() -> None:
    policy = Recorded()
    runner = PolicyRunner(policy)
    for i in range(4):
        act(runner, observation(i, i * PERIOD))
    assert policy.seen == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    runner.reset()
    act(runner, observation(9, 4 * PERIOD))
    assert policy.seen[-1] == [9, 9, 9]


@pytest.mark.parametrize("stamp", [20 * PERIOD, 0], ids=["a long gap", "the clock set back"])
def test_frames_of_another_time_are_forgotten(stamp: int) -> None:
    policy = Recorded()
    runner = PolicyRunner(policy)
    act(runner, observation(1, 10 * PERIOD))
    act(runner, observation(2, stamp))
    assert policy.seen[-1] == [2, 2, 2]


def test_action_equals_the_policys_own_on_the_same_frames() -> None:
    policy = small_policy(CONTRACT)
    runner = PolicyRunner(policy)
    runner.warm_up()
    rng = np.random.default_rng(0)
    shots = [
        Observation(
            {s.name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for s in CONTRACT.images},
            np.zeros(3, np.float32),
            i * PERIOD,
            {s.name: i * PERIOD for s in CONTRACT.images},
        )
        for i in (1, 2)
    ]
    actions = [act(runner, shot) for shot in shots]
    frames = torch.from_numpy(np.stack([shot.frame for shot in shots]))[None].float() / 127.5 - 1
    np.testing.assert_allclose(actions[1], policy.act(frames)[0].numpy(), atol=1e-6)
    assert runner.uncertainty == pytest.approx(0.3)


def test_samples_differ_only_when_asked_for() -> None:
    shot = observation(5, PERIOD)
    steady, exploring = (PolicyRunner(small_policy(CONTRACT), RunnerConfig(deterministic=d)) for d in (True, False))
    np.testing.assert_array_equal(act(steady, shot), act(steady, shot))
    assert not np.array_equal(act(exploring, shot), act(exploring, shot))


@pytest.mark.parametrize(
    "answer, message",
    [((math.nan, 0, 0), "nan"), ((0.0, 0.0), "3 finite numbers"), (RuntimeError("out of luck"), "out of luck")],
    ids=["NaN", "wrong length", "exception"],
)
def test_useless_answers_are_failures(answer: object, message: str) -> None:
    with pytest.raises(PolicyFailure, match=message):
        act(PolicyRunner(Recorded(answer)), observation(0, PERIOD))

"""The policy at work, without ROS: which frames it sees, when it acts, and what it does when something fails."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_policy import SIZE, image, pixels, pose, small_contract, small_policy

from world4rl_data.observation import Observation
from world4rl_policy.policy_loop import Decision, PolicyLoop
from world4rl_policy.policy_runner import PolicyFailure, PolicyRunner, RunnerConfig

CONTRACT = small_contract()
FRONT, WRIST = (stream.topic for stream in CONTRACT.images)
POSE = CONTRACT.proprioception[0].topic
PERIOD = 100_000_000


class Recorded:
    """A policy that keeps what it was shown and answers `answer`."""

    contract = CONTRACT
    history = 3

    def __init__(self, answer: object = (0.1, 0.2, 0.3)) -> None:
        self.answer = answer
        self.seen: list[list[float]] = []

    def act(self, frames: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        self.seen.append(((frames[0, :, 0, 0, 0] + 1) * 127.5).round().tolist())
        if isinstance(self.answer, Exception):
            raise self.answer
        return torch.tensor([self.answer])


def observation(value: int, stamp_ns: int) -> Observation:
    images = {stream.name: np.full((SIZE, SIZE, 3), value, np.uint8) for stream in CONTRACT.images}
    return Observation(images, np.zeros(3, np.float32), stamp_ns, dict.fromkeys(images, stamp_ns))


def test_history_repeats_the_first_frame_and_starts_anew_on_reset() -> None:
    policy = Recorded()
    runner = PolicyRunner(policy)
    for i in range(4):
        runner.act(observation(i, i * PERIOD))
    assert policy.seen == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    runner.reset()
    runner.act(observation(9, 4 * PERIOD))
    assert policy.seen[-1] == [9, 9, 9]


@pytest.mark.parametrize("stamp", [20 * PERIOD, 0], ids=["a long gap", "the clock set back"])
def test_frames_of_another_time_are_forgotten(stamp: int) -> None:
    policy = Recorded()
    runner = PolicyRunner(policy)
    runner.act(observation(1, 10 * PERIOD))
    runner.act(observation(2, stamp))
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
    actions = [runner.act(shot) for shot in shots]
    frames = torch.from_numpy(np.stack([shot.frame for shot in shots]))[None].float() / 127.5 - 1
    np.testing.assert_allclose(actions[1], policy.act(frames)[0].numpy(), atol=1e-6)
    assert runner.rate_hz == pytest.approx(10) and 0 < runner.latency_ms < 1000
    assert runner.uncertainty == pytest.approx(0.3)


def test_samples_differ_only_when_asked_for() -> None:
    shot = observation(5, PERIOD)
    steady, exploring = (PolicyRunner(small_policy(CONTRACT), RunnerConfig(deterministic=d)) for d in (True, False))
    np.testing.assert_array_equal(steady.act(shot), steady.act(shot))
    assert not np.array_equal(exploring.act(shot), exploring.act(shot))


@pytest.mark.parametrize(
    "answer, message",
    [((math.nan, 0, 0), "nan"), ((0.0, 0.0), "3 finite numbers"), (RuntimeError("out of luck"), "out of luck")],
    ids=["NaN", "wrong length", "exception"],
)
def test_useless_answers_are_failures(answer: object, message: str) -> None:
    with pytest.raises(PolicyFailure, match=message):
        PolicyRunner(Recorded(answer)).act(observation(0, PERIOD))


# -- when it acts ------------------------------------------------------------------------------------------------------


class Rig:
    """Pushes messages into a loop as the topics would."""

    def __init__(self, policy: object | None = None) -> None:
        self.policy = policy or Recorded()
        self.loop = PolicyLoop(PolicyRunner(self.policy))  # type: ignore[arg-type]

    def push(self, topic: str, stamp: int, now: int | None = None, value: int | None = None) -> Decision | None:
        shot = np.full((SIZE, SIZE, 3), (stamp // PERIOD) % 256 if value is None else value, np.uint8)
        return self.loop.push(topic, stamp, pose() if topic == POSE else image(shot), stamp if now is None else now)

    def tick(self, i: int, now: int | None = None) -> list[Decision | None]:
        """Pose, front, wrist of period i."""
        return [self.push(topic, i * PERIOD, now) for topic in (POSE, FRONT, WRIST)]


def test_acts_once_per_period_when_the_last_camera_has_come() -> None:
    rig = Rig()
    assert rig.tick(1) == [None, None, None], "nothing before it is enabled"
    rig.loop.enable()
    for i in (2, 3, 4):
        pose_, front, wrist = rig.tick(i)
        assert pose_ is None and front is None and wrist is not None
        assert wrist.stamp_ns == i * PERIOD
        np.testing.assert_allclose(wrist.values, [0.1, 0.2, 0.3])
    rig.loop.disable()
    assert rig.tick(5) == [None, None, None]
    rig.loop.enable()
    rig.tick(6)
    assert rig.policy.seen == [[2, 2, 2], [2, 2, 3], [2, 3, 4], [6, 6, 6]], "enabling begins a new episode"


def test_cameras_that_once_came_in_another_order_fall_into_step_again() -> None:
    """A new front picture beside the last wrist picture must not become the rule."""
    rig = Rig()
    rig.loop.enable()
    rig.push(POSE, PERIOD)
    rig.push(WRIST, PERIOD)
    assert rig.push(FRONT, 2 * PERIOD, value=2) is not None  # all that was known
    assert rig.push(WRIST, 2 * PERIOD) is None
    for i in (3, 4):
        assert [d is not None for d in rig.tick(i)] == [False, False, True]


def test_fast_cameras_do_not_make_it_act_faster() -> None:
    rig = Rig()
    rig.loop.enable()
    step = PERIOD // 3
    decisions = [rig.push(topic, 1 + i * step) for i in range(30) for topic in (POSE, FRONT, WRIST)]
    stamps = [d.stamp_ns for d in decisions if d is not None]
    assert len(stamps) == 10 and min(np.diff(stamps)) >= 0.9 * PERIOD


def test_clock_that_lags_behind_the_pictures_by_one_period_is_no_obstacle() -> None:
    """Under /clock the pictures of a tick may overtake the tick itself."""
    rig = Rig()
    rig.loop.enable()
    decisions = [rig.tick(i, now=(i - 1) * PERIOD)[-1] for i in (2, 3, 4)]
    assert [d.stamp_ns for d in decisions if d] == [2 * PERIOD, 3 * PERIOD, 4 * PERIOD]


def test_clock_that_does_not_run_is_told() -> None:
    rig = Rig()
    rig.loop.enable()
    assert rig.tick(50, now=0) == [None, None, None]
    assert "/clock" in rig.loop.problem(0)


def test_silent_streams_are_named_and_nothing_is_done_meanwhile() -> None:
    rig = Rig()
    rig.loop.enable()
    assert "no message on" in rig.loop.problem(PERIOD)
    rig.tick(1)
    assert rig.loop.problem(PERIOD) == ""
    for i in range(2, 8):  # the arm's pose has gone silent
        last = [rig.push(FRONT, i * PERIOD), rig.push(WRIST, i * PERIOD)][-1]
    assert last is None and "position: newest message" in rig.loop.problem(7 * PERIOD)
    assert rig.tick(8)[-1] is not None, "and it goes on when the pose is back"


def test_clock_set_back_begins_anew() -> None:
    rig = Rig()
    rig.loop.enable()
    rig.tick(100)
    assert rig.tick(1)[-1] is not None
    assert rig.tick(2)[-1] is not None
    assert rig.policy.seen[-1] == [1, 1, 2]


def test_failing_policy_stops_itself_until_it_is_enabled_again() -> None:
    rig = Rig(Recorded(RuntimeError("out of luck")))
    rig.loop.enable()
    assert rig.tick(1) == [None, None, None]
    assert not rig.loop.enabled and "out of luck" in rig.loop.problem(PERIOD)
    rig.policy.answer = (0.0, 0.0, 0.0)  # type: ignore[attr-defined]
    assert rig.tick(2)[-1] is None
    rig.loop.enable()
    assert rig.tick(3)[-1] is not None and rig.loop.problem(3 * PERIOD) == ""


def test_live_loop_sees_what_the_camera_took() -> None:
    """Real policy, real pictures: the decision is the policy's answer to exactly these frames."""
    policy = small_policy(CONTRACT)
    rig = Rig(policy)
    rig.loop.enable()
    front, wrist = pixels(1), pixels(2)
    rig.push(POSE, PERIOD)
    rig.loop.push(FRONT, PERIOD, image(front), PERIOD)
    decision = rig.loop.push(WRIST, PERIOD, image(wrist), PERIOD)
    frame = torch.from_numpy(np.concatenate([front, wrist], axis=2).transpose(2, 0, 1)).float() / 127.5 - 1
    assert decision is not None
    np.testing.assert_allclose(decision.values, policy.act(torch.stack([frame, frame])[None])[0].numpy(), atol=1e-6)

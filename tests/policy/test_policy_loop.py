"""When a policy acts, without ROS: once per period on the newest complete observation, never after it was stopped."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from recorded_policy import CONTRACT, Recorded
from small_policy import SIZE, image, pixels, pose, small_contract, small_policy

from world4rl_data.contract import ContractMismatch
from world4rl_policy.policy_loop import Decision, PolicyLoop
from world4rl_policy.policy_runner import PolicyRunner

FRONT, WRIST = (stream.topic for stream in CONTRACT.images)
POSE = CONTRACT.proprioception[0].topic
PERIOD = 100_000_000


class Rig:
    """Pushes messages into a loop as the topics would."""

    def __init__(self, policy: object | None = None) -> None:
        self.policy = policy or Recorded()
        self.loop = PolicyLoop(PolicyRunner(self.policy, name="first"))  # type: ignore[arg-type]
        self.sent: list[Decision] = []

    def push(self, topic: str, stamp: int, now: int | None = None, value: int | None = None) -> Decision | None:
        shot = np.full((SIZE, SIZE, 3), (stamp // PERIOD) % 256 if value is None else value, np.uint8)
        message, now_ns = pose() if topic == POSE else image(shot), stamp if now is None else now
        due = self.loop.take(topic, stamp, message, now_ns)
        decision = self.loop.act(lambda: now_ns, self.sent.append)
        assert decision is None or (due and self.sent[-1] is decision)
        return decision

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
    rig.loop.take(FRONT, PERIOD, image(front), PERIOD)
    assert rig.loop.take(WRIST, PERIOD, image(wrist), PERIOD)
    decision = rig.loop.act(lambda: PERIOD, rig.sent.append)
    frame = torch.from_numpy(np.concatenate([front, wrist], axis=2).transpose(2, 0, 1)).float() / 127.5 - 1
    assert decision is not None
    np.testing.assert_allclose(decision.values, policy.act(torch.stack([frame, frame])[None])[0].numpy(), atol=1e-6)


# -- while it decides --------------------------------------------------------------------------------------------------


class Slow(Recorded):
    """Decides only when it is let."""

    def __init__(self, answer: object = (0.1, 0.2, 0.3)) -> None:
        super().__init__(answer)
        self.deciding, self.let = threading.Event(), threading.Event()

    def act(self, frames: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        self.deciding.set()
        assert self.let.wait(10)
        return super().act(frames, deterministic)


class SlowRig(Rig):
    """The policy decides on the pictures of period 1 in a thread of its own, until `finish`."""

    def __init__(self, answer: object = (0.1, 0.2, 0.3)) -> None:
        super().__init__(Slow(answer))
        self.loop.enable()
        self.now = PERIOD
        self.offer(1)
        self.thread = threading.Thread(target=self.act)
        self.thread.start()
        assert self.policy.deciding.wait(10)  # type: ignore[attr-defined]

    def offer(self, i: int) -> bool:
        """Pose, front, wrist of period i; True where it is time to act."""
        self.now = i * PERIOD
        shot = image(np.full((SIZE, SIZE, 3), i, np.uint8))
        return [
            self.loop.take(topic, i * PERIOD, pose() if topic == POSE else shot, self.now)
            for topic in (POSE, FRONT, WRIST)
        ][-1]

    def act(self) -> None:
        self.loop.act(lambda: self.now, self.sent.append)

    def finish(self) -> list[Decision]:
        self.policy.let.set()  # type: ignore[attr-defined]
        self.thread.join(10)
        return self.sent


def test_what_is_being_decided_when_it_is_disabled_is_not_sent() -> None:
    rig = SlowRig()
    rig.loop.disable()
    assert rig.finish() == []


def test_what_is_being_decided_belongs_to_its_own_episode() -> None:
    """Disabled and enabled again while it decides: a new episode must not begin with the old one's action."""
    rig = SlowRig()
    rig.loop.disable()
    rig.loop.enable()
    assert rig.finish() == [] and rig.loop.enabled
    assert rig.offer(2)
    rig.act()
    assert len(rig.sent) == 1 and rig.policy.seen[-1] == [2, 2, 2]


def test_failure_of_a_past_episode_does_not_stop_the_next() -> None:
    rig = SlowRig(RuntimeError("out of luck"))
    rig.loop.disable()
    rig.loop.enable()
    rig.finish()
    assert rig.loop.enabled and "out of luck" not in rig.loop.problem(PERIOD)


def test_pictures_that_come_while_it_decides_lead_to_one_action_on_the_newest() -> None:
    rig = SlowRig()
    assert rig.offer(2) and rig.offer(3), "nobody waits for the policy"
    rig.finish()
    rig.act()
    rig.act()
    assert [d.stamp_ns for d in rig.sent] == [PERIOD, 3 * PERIOD]
    assert rig.policy.seen == [[1, 1, 1], [1, 1, 3]]


def test_another_policy_takes_over_between_two_actions() -> None:
    rig = SlowRig()
    second = Recorded((0.5, 0.5, 0.5))
    rig.loop.swap(PolicyRunner(second, name="second"))  # type: ignore[arg-type]
    rig.finish()
    rig.offer(2)
    rig.act()
    assert [(d.policy_id, d.values[0].round(1)) for d in rig.sent] == [("first", np.float32(0.1)), ("second", 0.5)]
    assert second.seen == [[2, 2, 2]], "its memory begins with its first frame"


def test_policy_of_another_contract_does_not_take_over() -> None:
    rig = Rig()
    rig.loop.enable()
    other = PolicyRunner(small_policy(small_contract("other")), name="other")
    with pytest.raises(ContractMismatch, match="name: small here, other there"):
        rig.loop.swap(other)
    assert rig.tick(1)[-1] is not None


def test_reason_of_a_stop_stays_until_it_is_enabled_again() -> None:
    rig = Rig()
    rig.loop.enable()
    rig.tick(1)
    rig.loop.disable("not trusted: a hand before the camera")
    rig.loop.disable()
    rig.loop.swap(PolicyRunner(Recorded()))  # type: ignore[arg-type]
    assert rig.tick(2)[-1] is None
    assert rig.loop.problem(2 * PERIOD) == "not trusted: a hand before the camera"
    rig.loop.enable()
    assert rig.tick(3)[-1] is not None and rig.loop.problem(3 * PERIOD) == ""


def test_statistics_are_of_this_episode() -> None:
    rig = Rig()
    for first in (1, 50):
        rig.loop.enable()
        for i in range(first, first + 4):
            rig.tick(i)
        report = rig.loop.statistics.report((first + 3) * PERIOD)
        assert (report.actions, report.skipped) == (4, 0)
        assert report.rate_hz == pytest.approx(10) and 0 < report.arrival_to_action.p50 < 1000

"""What the gate believes about the arm, and the gripper's protocol, without ROS."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from world4rl_control.arm_state import ArmState, ClockWatch
from world4rl_control.franka_gripper import FrankaGripper

DOWN = np.array([1.0, 0.0, 0.0, 0.0])


def test_pose_ages_by_arrival_and_an_unusable_pose_counts_as_none():
    arm = ArmState()
    assert arm.pose_age(5.0) == math.inf
    arm.see_pose(np.ones(3), DOWN, 5.0)
    arm.see_pose(np.array([np.nan, 0, 0]), DOWN, 6.0)
    arm.see_pose(np.zeros(3), np.zeros(4), 6.0)
    assert arm.pose_age(6.5) == pytest.approx(1.5)
    np.testing.assert_array_equal(arm.position, np.ones(3))


@pytest.mark.parametrize(
    ("mode", "may_move"), [(None, True), (1, True), (2, True), (0, False), (4, False), (99, False)]
)
def test_only_idle_and_move_let_the_arm_move(mode, may_move):
    arm = ArmState()
    arm.mode = mode
    assert (arm.mode_fault == "") == may_move


def test_fingers_give_the_opening_and_rubbish_does_not():
    arm = ArmState()
    for rubbish in ([], [0.02], [math.nan, 0.02]):
        arm.see_fingers(rubbish)
        assert arm.gripper_width is None
    arm.see_fingers([0.02, 0.03])
    assert arm.gripper_width == pytest.approx(0.05)


def test_a_clock_that_stands_still_is_noticed_and_forgiven_when_it_goes_on():
    watch = ClockWatch(timeout_s=1.0)
    assert not watch.stands_still(3.0, 100.0)
    assert not watch.stands_still(3.0, 100.9)
    assert watch.stands_still(3.0, 101.1)
    assert not watch.stands_still(3.1, 101.2)


class _Reply:
    """A future that the test answers when it likes."""

    def __init__(self) -> None:
        self.callback = None

    def add_done_callback(self, callback) -> None:
        self.callback = callback

    def answer(self, value) -> None:
        self.callback(SimpleNamespace(result=lambda: value))


class _Hand:
    """Records what the gripper sends; every answer is the test's to give."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.ready = True
        self.replies: list[_Reply] = []
        action = SimpleNamespace(server_is_ready=lambda: self.ready, send_goal_async=self._take)
        stop = SimpleNamespace(service_is_ready=lambda: self.ready, call_async=self._take)
        self.gripper = FrankaGripper(action, action, stop, lambda what: what)

    def _take(self, what: str) -> _Reply:
        self.sent.append(what)
        self.replies.append(_Reply())
        return self.replies[-1]

    def accept(self) -> _Reply:
        """The driver accepts the goal sent last; the reply that will carry its result."""
        result = _Reply()
        self.replies[-1].answer(SimpleNamespace(accepted=True, get_result_async=lambda: result))
        return result


def test_a_goal_in_progress_is_stopped_before_the_next_one():
    hand = _Hand()
    hand.gripper.command("close", 0.0)
    hand.accept()
    hand.gripper.command("open", 1.0)
    assert hand.sent == ["close", "stop"]
    hand.replies[-1].answer(None)
    assert hand.sent == ["close", "stop", "open"]


def test_a_finished_goal_needs_no_stop_and_its_failure_is_told():
    hand = _Hand()
    hand.gripper.command("close", 0.0)
    hand.accept().answer(SimpleNamespace(result=SimpleNamespace(success=False, error="too wide")))
    assert "too wide" in hand.gripper.problem
    hand.gripper.command("open", 1.0)
    assert hand.sent == ["close", "open"]


def test_only_the_newest_command_survives_a_driver_that_does_not_answer_stop():
    hand = _Hand()
    hand.gripper.command("close", 0.0)
    hand.accept()
    hand.gripper.command("open", 1.0)
    hand.gripper.command("close", 1.1)
    hand.gripper.tick(1.5)
    assert hand.sent == ["close", "stop"]
    hand.gripper.tick(2.5)
    assert hand.sent == ["close", "stop", "close"]


def test_an_absent_driver_is_named_and_the_command_sent_when_it_comes():
    hand = _Hand()
    hand.ready = False
    hand.gripper.command("close", 0.0)
    assert hand.sent == [] and "driver" in hand.gripper.problem
    hand.ready = True
    hand.gripper.tick(0.1)
    assert hand.sent == ["close"] and hand.gripper.problem == ""

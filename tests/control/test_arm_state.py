"""What the gate believes about the arm, without ROS."""

import math

import numpy as np
import pytest

from world4rl_control.arm_state import ArmState, ClockWatch

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

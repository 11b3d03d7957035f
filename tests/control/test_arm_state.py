"""What the gate believes about the arm, without ROS."""

import math

import numpy as np
import pytest

from world4rl_control import pose
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


FAR = np.array([0.6, 0.0, 0.0])  # from where the arm is, at 0


def _seen(*poses: tuple[np.ndarray, float, float]) -> ArmState:
    """After poses that came at a time, with a stamp."""
    arm = ArmState()
    for position, now_s, stamp_s in poses:
        arm.see_pose(position, DOWN, now_s, stamp_s)
    return arm


@pytest.mark.parametrize("stamp_s", [99.0, 0.0, 100.005], ids=["clock 1 s behind", "unstamped", "same clock"])
def test_a_second_publisher_of_the_pose_is_a_jump_whatever_its_stamps(stamp_s):
    arm = _seen((np.zeros(3), 100.0, 100.0), (FAR, 100.005, stamp_s))
    assert "jumped by 0.60 m" in arm.jump
    np.testing.assert_array_equal(arm.position, np.zeros(3))


def test_an_orientation_that_jumps_where_it_is_is_a_jump_as_well():
    arm = _seen((np.zeros(3), 100.0, 100.0))
    arm.see_pose(np.zeros(3), pose.rotate_by(np.array([0.0, 0.0, 1.2]), DOWN), 100.005, 100.005)
    assert "0.00 m and 1.20 rad" in arm.jump
    np.testing.assert_array_equal(arm.quat, DOWN)


@pytest.mark.parametrize("stamp_s", [99.0, 0.0])
def test_nor_does_a_pose_near_by_with_an_older_stamp_excuse_the_jump_after_it(stamp_s):
    near = np.array([0.05, 0.0, 0.0])
    assert "jumped" in _seen((np.zeros(3), 100.0, 100.0), (near, 100.005, stamp_s), (FAR, 100.01, 100.01)).jump


def test_a_stamped_pose_among_poses_without_stamps_is_judged_by_its_arrival():
    assert "jumped" in _seen((np.zeros(3), 100.0, 0.0), (FAR, 100.005, 100.0)).jump


def test_a_clock_that_begins_again_is_no_jump_and_the_next_pose_is_judged_again():
    again = ((np.zeros(3), 100.0, 100.0), (FAR, 0.1, 0.1))  # a simulator's reset, under /clock
    assert _seen(*again).jump == ""
    assert "jumped" in _seen(*again, (np.zeros(3), 0.11, 0.11)).jump


def test_poses_that_come_in_a_bunch_are_judged_by_their_stamps():
    assert _seen((np.zeros(3), 100.0, 99.5), (FAR, 100.001, 100.0)).jump == "", "0.6 m in half a second"


def test_a_clock_that_stands_still_is_noticed_and_forgiven_when_it_goes_on():
    watch = ClockWatch(timeout_s=1.0)
    assert not watch.stands_still(3.0, 100.0)
    assert not watch.stands_still(3.0, 100.9)
    assert watch.stands_still(3.0, 101.1)
    assert not watch.stands_still(3.1, 101.2)

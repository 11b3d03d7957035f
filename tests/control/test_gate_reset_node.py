"""The arm gate's reset over DDS: it brings the arm home, and every caller gets an answer."""

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from gate_rig import close_gate, make_gate, position  # noqa: E402

from world4rl_data.contract import TaskContract  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402
from world4rl_interfaces.srv import ResetArm  # noqa: E402


def test_reset_brings_the_arm_home_and_answers_when_it_is_there(rig):
    refused = rig.call(rig.resetter, ResetArm.Request())
    assert not refused.success and "enable" in refused.message
    rig.position, rig.follow = np.array([0.55, 0.1, 0.2]), True
    rig.spin(0.1)
    rig.enable()
    assert "nowhere" in rig.call(rig.resetter, ResetArm.Request(pose="nowhere")).message
    answer = rig.call(rig.resetter, ResetArm.Request(), timeout_s=10.0)
    assert answer.success, answer.message
    home = TaskContract.load("franka_sim_press").poses["home"][0]
    np.testing.assert_allclose(rig.position, home, atol=0.011)
    steps = np.diff([position(target) for target in rig.targets], axis=0)
    assert np.linalg.norm(steps, axis=1).max() < 0.0601


def test_a_blocked_reset_is_given_up_with_the_way_that_is_left():
    rig, gate = make_gate(reset_timeout_s=2.0)
    try:
        rig.ready()
        rig.position = np.array([0.45, 0.03, 0.30])  # near home, and does not follow
        rig.spin(0.1)
        rig.enable()
        answer = rig.call(rig.resetter, ResetArm.Request())
        assert not answer.success and "30 mm and 0.00 rad are left" in answer.message and "blocked" in answer.message
        rig.position = np.array([0.45, 0.015, 0.30])
        rig.spin(0.1)
        assert rig.call(rig.resetter, ResetArm.Request()).success
    finally:
        close_gate(rig, gate)


def test_a_human_ends_a_reset_and_its_caller_is_told(rig):
    rig.position = np.array([0.55, 0.1, 0.2])  # and the arm does not follow
    rig.spin(0.1)
    rig.enable()
    answer = rig.resetter.call_async(ResetArm.Request())
    rig.until(lambda: rig.targets)
    rig.act([0, 0, 1], Action.HUMAN)
    rig.until(answer.done)
    assert not answer.result().success and "human" in answer.result().message


def test_a_reset_of_an_arm_that_does_not_come_is_given_up_and_the_next_action_moves_it():
    rig, gate = make_gate(reset_timeout_s=1.0)
    rig.position = np.array([0.55, 0.1, 0.2])  # and the arm does not follow
    try:
        rig.ready()
        rig.until(lambda: rig.enable().success, what="leave to enable")
        answer = rig.call(rig.resetter, ResetArm.Request(), timeout_s=10.0)
        assert not answer.success and "did not arrive in time" in answer.message
        assert rig.executed == [], "only the reset has moved it"
        # the first one may come too soon after the reset's last step
        rig.until(lambda: rig.act([0.5, 0, 0]) or rig.executed, what="an action that is applied")
        assert rig.executed[0].source == Action.POLICY and rig.status.reason == ""
    finally:
        close_gate(rig, gate)

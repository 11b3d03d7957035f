"""The ways to move an arm: MoveIt Servo's twists, joint trajectories by inverse kinematics."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from world4rl_control import pose
from world4rl_control.arm_control import ArmControl, ControlConfig
from world4rl_control.arm_state import ArmState
from world4rl_control.backend import JointCommand, TwistCommand
from world4rl_control.instant import Instant
from world4rl_control.joint_trajectory import JointTrajectory
from world4rl_control.pin_kinematics import PinKinematics, pinocchio_is_there
from world4rl_control.servo_twist import ServoTwist, ServoTwistConfig
from world4rl_control.target_path import TargetPath
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource

HOME = (np.array([0.45, 0.0, 0.30]), np.array([1.0, 0.0, 0.0, 0.0]))
needs_pinocchio = pytest.mark.skipif(not pinocchio_is_there(), reason="needs Pinocchio: pip install pin")

# Joint frames of a Franka arm by its published modified Denavit-Hartenberg table: xyz, rpy.
_JOINTS = [
    ((0, 0, 0.333), (0, 0, 0)),
    ((0, 0, 0), (-np.pi / 2, 0, 0)),
    ((0, -0.316, 0), (np.pi / 2, 0, 0)),
    ((0.0825, 0, 0), (np.pi / 2, 0, 0)),
    ((-0.0825, 0.384, 0), (-np.pi / 2, 0, 0)),
    ((0, 0, 0), (np.pi / 2, 0, 0)),
    ((0.088, 0, 0), (np.pi / 2, 0, 0)),
]
READY = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])


def urdf() -> str:
    def words(numbers) -> str:
        return " ".join(f"{value:.9g}" for value in numbers)

    parts = ['<robot name="arm"><link name="fr3_link0"/>']
    for index, (xyz, rpy) in enumerate(_JOINTS, start=1):
        parts.append(
            f'<link name="fr3_link{index}"/><joint name="fr3_joint{index}" type="revolute">'
            f'<origin xyz="{words(xyz)}" rpy="{words(rpy)}"/><axis xyz="0 0 1"/>'
            f'<parent link="fr3_link{index - 1}"/><child link="fr3_link{index}"/>'
            '<limit lower="-2.9" upper="2.9" velocity="2" effort="80"/></joint>'
            if index != 6
            else f'<link name="fr3_link6"/><joint name="fr3_joint6" type="revolute">'
            f'<origin xyz="{words(xyz)}" rpy="{words(rpy)}"/><axis xyz="0 0 1"/>'
            '<parent link="fr3_link5"/><child link="fr3_link6"/>'
            '<limit lower="0.5" upper="4.5" velocity="2" effort="12"/></joint>'
        )
    parts.append(
        '<link name="fr3_hand_tcp"/><joint name="tip" type="fixed"><origin xyz="0 0 0.2104" rpy="0 0 -0.785"/>'
        '<parent link="fr3_link7"/><child link="fr3_hand_tcp"/></joint>'
        '<link name="finger"/><joint name="finger_joint" type="prismatic"><origin xyz="0 0 0.1" rpy="0 0 0"/>'
        '<axis xyz="0 1 0"/><parent link="fr3_link7"/><child link="finger"/>'
        '<limit lower="0" upper="0.04" velocity="1" effort="1"/></joint></robot>'
    )
    return "".join(parts)


# -- twists ----------------------------------------------------------------------------------------------------


def _servo() -> ServoTwist:
    return ServoTwist(ServoTwistConfig(max_speed_m_s=0.25, max_speed_rad_s=1.2, gain=5.0))


def test_a_twist_leads_from_the_measured_pose_to_the_target_and_is_bounded():
    tilted = (HOME[0] + [0.02, 0.0, 0.0], pose.rotate_by(np.array([0.0, 0.0, 0.1]), HOME[1]))
    twist = _servo().follow(tilted, HOME, ArmState())
    np.testing.assert_allclose(twist.linear, [0.1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(twist.angular, [0, 0, 0.5], atol=1e-9)
    far = (HOME[0] + [5.0, 5.0, 0.0], pose.rotate_by(np.array([3.0, 0.0, 0.0]), HOME[1]))
    twist = _servo().follow(far, HOME, ArmState())
    assert np.linalg.norm(twist.linear) == pytest.approx(0.25)
    assert np.linalg.norm(twist.angular) == pytest.approx(1.2)


def test_servo_gets_zeros_while_nothing_moves_and_for_a_while_after_a_stop():
    contract, sent = TaskContract.load("franka_sim_press"), []
    control = ArmControl(contract, _servo(), sent.append, ControlConfig(command_rate_hz=50.0, stop_repeat_s=0.1))
    time_s, position = 10.0, HOME[0]

    def later(seconds: float) -> Instant:
        nonlocal time_s, position
        time_s += seconds
        control.arm.see_pose(position, HOME[1], time_s)
        for stream in contract.streams:
            control.streams.heard(stream.topic, time_s)
        return Instant(time_s, time_s)

    control.command(later(0.02))
    assert sent == [], "a gate that was never enabled says nothing"
    assert control.enable(later(0.02)) == ""
    control.command(later(0.02))
    assert not sent[-1].linear.any()
    control.act([1.0, 0.0, 0.0], ActionSource.POLICY, time_s, later(0.0))
    for _ in range(50):  # an arm that does what it is told
        control.command(later(0.02))
        position = position + 0.02 * sent[-1].linear
    assert position[0] - HOME[0][0] == pytest.approx(contract.actions[0].scale, rel=0.1)
    assert not sent[-1].linear.any(), "the source has fallen silent"
    count = len(sent)
    control.stop("enough", later(0.0))
    for _ in range(20):
        control.command(later(0.02))
    zeros = sent[count:]
    assert 4 <= len(zeros) <= 8 and not any(twist.linear.any() or twist.angular.any() for twist in zeros)
    assert all(isinstance(twist, TwistCommand) for twist in sent)


def test_a_reset_by_twists_waits_while_no_measured_pose_comes():
    contract, sent = TaskContract.load("franka_sim_press"), []
    control = ArmControl(contract, _servo(), sent.append, ControlConfig(command_rate_hz=50.0))
    start = HOME[0] + [0.1, 0.0, 0.0]
    control.arm.see_pose(start, HOME[1], 10.0)
    assert control.enable(Instant(10.0, 10.0)) == ""
    control.gate.start_reset("home")

    def twist(time_s: float) -> TwistCommand:
        now = Instant(time_s, time_s)
        control.reset_step(now)
        control.command(now)
        return sent[-1]

    twist(10.0)
    assert twist(10.1).linear.any()
    for time_s in (10.3, 10.6, 10.9):
        assert not twist(time_s).linear.any(), "the pose is of 10 s: where the arm is now nobody knows"
    control.arm.see_pose(start, HOME[1], 11.0)
    twist(11.0)
    assert twist(11.1).linear.any() and control.gate.resetting


# -- paths ----------------------------------------------------------------------------------------------------


def test_a_path_turns_evenly_and_takes_longer_where_the_speed_limit_asks_for_it():
    path = TargetPath(0.1, max_speed_m_s=0.5, max_speed_rad_s=1.0)
    assert path.at(0.0) is None
    turned = (HOME[0], pose.rotate_by(np.array([0.0, 0.0, 0.2]), HOME[1]))
    path.aim(turned, HOME)
    for part in (0.25, 0.5, 1.0):  # 0.2 rad at 1 rad/s take 0.2 s
        angle = pose.length(pose.rotation_between(HOME[1], path.at(0.2 * part)[1]))
        assert angle == pytest.approx(0.2 * part, abs=1e-9)
    path.halt(5.0)
    path.clear()
    assert path.at(5.0) is None


def test_a_clock_that_goes_back_neither_moves_a_path_nor_ends_it():
    path = TargetPath(0.1, max_speed_m_s=0.5, max_speed_rad_s=1.0)
    path.aim((HOME[0] + [0.04, 0.0, 0.0], HOME[1]), HOME)
    ways = [path.at(time_s)[0][0] - HOME[0][0] for time_s in (50.0, 50.05, 2.0, 2.025, 2.05, 9.0)]
    np.testing.assert_allclose(ways, [0.0, 0.02, 0.02, 0.03, 0.04, 0.04], atol=1e-12)


def test_time_that_passed_before_a_path_or_while_it_was_halted_takes_it_nowhere():
    path, ahead = TargetPath(0.1, max_speed_m_s=0.5, max_speed_rad_s=1.0), (HOME[0] + [0.04, 0.0, 0.0], HOME[1])
    path.at(1.0)
    path.clear()
    path.aim(ahead, HOME)
    np.testing.assert_allclose(path.at(7.0)[0], HOME[0])
    path.halt(8.0)
    path.aim(ahead, HOME)
    np.testing.assert_allclose(path.at(8.05)[0], HOME[0] + [0.02, 0.0, 0.0])


# -- joints ----------------------------------------------------------------------------------------------------


class _Rail:
    """Kinematics of three sliding joints, so that what surrounds them can be tested without a library."""

    names = ("x", "y", "z")

    def __init__(self):
        self.starts = []  # where each search began

    def forward(self, joints):
        return joints, HOME[1]

    def inverse(self, target, start):
        if target[0][2] > 1.0:
            raise ValueError("out of reach")
        self.starts.append(start)
        return np.asarray(target[0], float)


def _rail() -> tuple[JointTrajectory, ArmState]:
    backend, arm = JointTrajectory(0.1), ArmState()
    backend.kinematics = _Rail()
    arm.see_joints(("z", "x", "y"), np.array([0.3, 0.45, 0.0]), 0.0)
    return backend, arm


def test_joints_are_named_timed_and_in_the_kinematics_order():
    backend, arm = _rail()
    command = backend.follow((HOME[0] + [0.01, 0, 0], HOME[1]), HOME, arm)
    assert isinstance(command, JointCommand) and command.names == ("x", "y", "z") and command.seconds == 0.1
    np.testing.assert_allclose(command.positions, [0.46, 0.0, 0.3])
    backend.follow((HOME[0] + [0.02, 0, 0], HOME[1]), HOME, arm)
    first, second = backend.kinematics.starts
    np.testing.assert_allclose(first, [0.45, 0.0, 0.3])
    np.testing.assert_allclose(second, command.positions, err_msg="from where it was sent, not from where it sags")


def test_to_stop_is_to_be_told_the_measured_joints():
    backend, arm = _rail()
    np.testing.assert_allclose(backend.stop(HOME, arm).positions, [0.45, 0.0, 0.3])
    assert backend.stop(None, arm) is None, "joints of long ago are no place to stay"


def test_joints_that_would_jump_or_are_not_known_are_refused():
    backend, arm = _rail()
    for way in (0.9, -0.9):
        with pytest.raises(ValueError, match="singularity"):
            backend.follow((HOME[0] + [way, 0, 0], HOME[1]), HOME, arm)
    with pytest.raises(ValueError, match="description"):
        JointTrajectory(0.1).follow(HOME, HOME, arm)


def test_a_target_out_of_reach_stops_the_arm_with_the_reason():
    contract = TaskContract.load("franka_sim_press")
    backend, _ = _rail()
    backend.kinematics.inverse = lambda target, start: (_ for _ in ()).throw(ValueError("out of reach"))
    control = ArmControl(contract, backend, lambda command: None)
    control.arm.see_pose(*HOME, 1.0)
    control.arm.see_joints(("x", "y", "z"), HOME[0], 1.0)
    for stream in contract.streams:
        control.streams.heard(stream.topic, 1.0)
    now = Instant(1.0, 1.0)
    assert control.enable(now) == ""
    control.act([1.0, 0.0, 0.0], ActionSource.POLICY, 1.0, now)
    assert not control.gate.enabled and "out of reach" in control.reason(now)


@needs_pinocchio
def test_inverse_kinematics_finds_the_way_back_on_a_franka_arm():
    arm = PinKinematics(urdf(), "fr3_hand_tcp", "fr3_link0")
    assert arm.names == tuple(f"fr3_joint{i}" for i in range(1, 8)), "the finger is left out"
    start = arm.forward(READY)
    np.testing.assert_allclose(start[0], [0.307, 0.0, 0.487], atol=0.005)  # the arm's well-known ready pose
    rng, joints = np.random.default_rng(0), READY
    for _ in range(20):
        target = start[0] + rng.uniform(-0.05, 0.05, 3), pose.rotate_by(rng.uniform(-0.1, 0.1, 3), start[1])
        joints = arm.inverse(target, joints)
        reached = arm.forward(joints)
        np.testing.assert_allclose(reached[0], target[0], atol=1e-4)
        assert pose.length(pose.rotation_between(reached[1], target[1])) < 1e-3


@needs_pinocchio
def test_targets_that_no_joints_reach_and_descriptions_without_the_link_are_named():
    arm = PinKinematics(urdf(), "fr3_hand_tcp", "fr3_link0")
    with pytest.raises(ValueError, match="no joint positions"):
        arm.inverse((np.array([2.0, 0.0, 0.5]), HOME[1]), READY)
    with pytest.raises(ValueError, match="tip_link"):
        PinKinematics(urdf(), "no_such_link", "fr3_link0")


def test_without_pinocchio_the_mend_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "pinocchio", raising=False)
    with pytest.raises(ValueError, match="pip install pin"):
        PinKinematics(urdf(), "fr3_hand_tcp", "fr3_link0")

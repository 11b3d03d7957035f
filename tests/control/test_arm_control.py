"""ArmControl without ROS: what holds, what stops for good, what keeps the arm from being enabled, and what is sent."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from arm_bench import CONTRACT, DOWN, HOME, HUMAN, POLICY, Bench

from world4rl_control import pose
from world4rl_control.arm_control import ControlConfig
from world4rl_control.controller_frame import ControllerFrame
from world4rl_control.instant import Instant
from world4rl_control.silence import DeadMan
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.enable()
    return bench


@pytest.mark.parametrize("stream", CONTRACT.streams, ids=lambda stream: stream.name)
def test_every_stream_of_the_contract_must_be_fresh_for_all_but_a_human(bench, stream):
    bench.silent = {stream.topic}
    bench.pass_time(stream.timeout_s + 0.05)
    for source in (POLICY, ActionSource.SCRIPTED, ActionSource.RANDOM):
        out = bench.act(source=source)
        assert not out.accepted and stream.topic in out.reason and stream.topic in bench.control.reason(bench.now)
    assert bench.act(source=HUMAN).accepted, "a human sees the arm itself"
    assert bench.control.reason(bench.now) == ""


def test_a_fresh_picture_ends_the_hold(bench):
    bench.silent = {CONTRACT.images[0].topic}
    bench.pass_time(0.5)
    assert not bench.act().accepted and bench.control.gate.enabled
    bench.silent = set()
    bench.pass_time(0.05)
    assert bench.act().accepted and bench.control.reason(bench.now) == ""


def test_a_reset_needs_no_camera(bench):
    bench.silent = {stream.topic for stream in CONTRACT.images}
    bench.pass_time(1.0)
    bench.control.gate.start_reset("home")
    bench.control.reset_step(bench.now)
    assert len(bench.sent) == 1


@pytest.mark.parametrize("age_s", [0.6, -0.6])
def test_an_action_of_another_time_is_dropped_and_counted(bench, age_s):
    out = bench.act(age_s=age_s)
    assert not out.accepted and "late action" in out.reason and bench.control.gate.rejected == 1
    assert bench.act(age_s=0.4).accepted


def test_an_action_decided_on_before_the_last_one_is_dropped_until_enabled_again(bench):
    """Two machines at once: the loser decided without what the winner did. The loser's next action counts."""
    assert bench.act().accepted
    late = bench.act(source=ActionSource.SCRIPTED, age_s=0.02)
    assert not late.accepted and "overtaken" in late.reason
    bench.pass_time(CONTRACT.period_s)
    assert bench.act(source=ActionSource.SCRIPTED).accepted
    bench.control.stop("test", bench.now)
    bench.enable()
    assert bench.act(age_s=0.3).accepted


def test_an_action_without_a_stamp_is_dropped(bench):
    assert "stamp" in bench.control.act([0, 0, 0], HUMAN, 0.0, bench.now).reason


def test_the_episode_ends_for_all_but_a_human(bench):
    limit_s = CONTRACT.max_episode_s
    bench.act(source=HUMAN)
    bench.pass_time(2 * limit_s)
    bench.act(source=HUMAN)
    assert bench.control.gate.enabled, "a person may teleoperate for as long as she likes"
    bench.control.gate.release()
    bench.pass_time(0.1)
    assert bench.act().accepted
    bench.pass_time(limit_s - 1.0)
    assert bench.act().accepted
    bench.pass_time(1.2)
    assert not bench.control.gate.enabled and "maximum episode time" in bench.control.reason(bench.now)
    assert not bench.act().accepted
    bench.enable()
    assert bench.act().accepted, "enabling begins a new episode"


def test_a_reset_begins_a_new_episode(bench):
    bench.act()
    bench.pass_time(CONTRACT.max_episode_s - 1.0)
    bench.control.gate.start_reset("home")
    bench.control.reset_step(bench.now)
    bench.pass_time(0.1)
    bench.act()
    bench.pass_time(CONTRACT.max_episode_s - 1.0)
    assert bench.control.gate.enabled


def test_a_short_silence_of_the_pose_holds_and_a_long_one_stops_for_good(bench):
    bench.act()
    bench.silent = {"pose"}
    bench.pass_time(0.5)
    assert bench.control.gate.enabled and "no measured pose" in bench.control.reason(bench.now)
    bench.pass_time(0.7)
    assert not bench.control.gate.enabled and "driver lost" in bench.control.reason(bench.now)
    bench.silent = set()
    bench.pass_time(1.0)
    assert "driver lost" in bench.control.reason(bench.now), "the reason stays until ~/enable"
    assert len(bench.sent) == 1, "an old pose is no pose to stay at"


def test_a_driver_that_has_not_spoken_yet_is_not_called_lost():
    """Whoever enables right after the launch must not be told to restart what is only starting."""
    bench = Bench()
    bench.silent = {"pose"}
    bench.pass_time(3.0)
    refusal = bench.control.enable(bench.now)
    assert "no fresh measured pose" in refusal and "lost" not in refusal


def test_a_robot_state_that_never_spoke_is_not_missed_and_one_that_did_is(bench):
    bench.pass_time(3.0)
    assert bench.control.gate.enabled
    bench.control.arm.see_state(bench.time_s)
    bench.pass_time(1.2)
    assert not bench.control.gate.enabled and "robot_state" in bench.control.reason(bench.now)
    assert "robot_state" in bench.control.enable(bench.now)


def test_a_gate_that_slept_does_not_blame_the_driver(bench):
    """Messages that waited while the process did not run are found before the second look, each time anew."""
    for _ in range(2):
        bench.time_s += 5.0
        assert bench.control.tick(bench.now) == ""
        bench.pass_time(0.05)
    assert bench.control.gate.enabled


def test_a_jump_of_the_pose_stops_at_the_last_pose_that_can_be_trusted(bench):
    bench.act()
    bench.position = HOME + [0.0, 0.5, 0.0]
    bench.pass_time(0.05)
    assert not bench.control.gate.enabled and "jumped" in bench.control.reason(bench.now)
    np.testing.assert_allclose(bench.sent[-1].position, HOME)
    bench.enable()
    bench.act((0.0, 0.0, 0.0))
    np.testing.assert_allclose(bench.sent[-1].position, bench.position)


def test_the_first_reason_of_a_stop_is_kept(bench):
    bench.control.arm.mode = 4
    bench.control.tick(bench.now)
    bench.control.stop("disabled on request", bench.now)
    assert "reflex" in bench.control.reason(bench.now)


def test_recovery_is_prepared_with_the_measured_pose_whatever_the_mode(bench):
    bench.act()
    bench.control.arm.mode = 4
    bench.control.tick(bench.now)
    count = len(bench.sent)
    assert bench.control.prepare_recovery(bench.now) == "" and not bench.control.gate.enabled
    np.testing.assert_allclose(bench.sent[-1].position, HOME)
    assert len(bench.sent) == count + 1
    bench.silent = {"pose"}
    bench.pass_time(0.5)
    assert "no fresh measured pose" in (refusal := bench.control.prepare_recovery(bench.now)) and "restart" in refusal


def test_whoever_enables_the_arm_again_is_told_that_a_policy_acts_still(bench):
    """After a reflex or a stop the policy sends on, unheard: the arm would move at once, to a person's surprise."""
    bench.act()
    assert bench.control.doubted(bench.now) == "", "it drives the arm, and everybody knows"
    bench.control.stop("disabled on request", bench.now)
    bench.act()
    assert "POLICY sends actions already: the arm moves as soon as" in bench.control.doubted(bench.now)
    bench.pass_time(CONTRACT.action_timeout_s + 0.1)
    bench.act(source=HUMAN)
    assert bench.control.doubted(bench.now) == "", "the policy fell silent, and a person knows what she does"


def test_the_dead_man_button_must_be_held():
    bench, button = Bench(), DeadMan(2, 0.25, "/joy")
    bench.control.faults.append(button.released)
    bench.pass_time(0.1)
    assert "dead-man" in bench.control.enable(bench.now)
    button.see([0, 0, 1], bench.time_s)
    bench.enable()
    button.see([1, 1, 0], bench.time_s)
    bench.control.tick(bench.now)
    assert not bench.control.gate.enabled and "not held" in bench.control.reason(bench.now)
    count = len(bench.sent)
    assert "dead-man" in bench.control.prepare_recovery(bench.now) and len(bench.sent) == count
    button.see([0], bench.time_s)
    assert button.released(bench.now), "a joystick without that button"
    button.see([0, 0, 1], bench.time_s)
    assert button.silent(bench.now) == "" and button.silent(Instant(0.0, bench.time_s + 0.3))


def test_targets_are_interpolated_to_the_controllers_rate():
    bench = Bench(ControlConfig(command_rate_hz=100.0))
    bench.enable()
    bench.control.command(bench.now)
    assert bench.sent == [], "nobody has asked for anything yet"
    out = bench.act((1.0, 0.0, 0.0))
    for _ in range(10):
        bench.time_s += 0.01
        bench.control.command(bench.now)
    xs = np.array([command.position[0] for command in bench.sent])
    np.testing.assert_allclose(np.diff(xs), (out.target_position[0] - HOME[0]) / 10, atol=1e-9)
    assert xs[-1] == pytest.approx(out.target_position[0])


def test_a_hold_ends_the_way_to_the_target_where_it_is():
    bench = Bench(ControlConfig(command_rate_hz=100.0))
    bench.enable()
    bench.act((1.0, 0.0, 0.0))
    bench.time_s += 0.05
    bench.control.command(bench.now)
    bench.act((np.nan, 0.0, 0.0))
    for _ in range(10):
        bench.time_s += 0.01
        bench.control.command(bench.now)
    assert len(bench.sent) == 1


@pytest.mark.parametrize("ahead_s", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_the_speed_limit_holds_on_the_way_whatever_the_rhythm_of_the_actions_and_their_clock(ahead_s):
    """The gate may hear of the new time by an action, before its own clock and that of its commands get there."""
    contract = TaskContract.load("franka_real")
    bench = Bench(ControlConfig(command_rate_hz=100.0), contract=contract)
    rng, position = np.random.default_rng(0), HOME
    bench.pass_time(0.1)
    for stream in contract.streams:
        bench.control.streams.heard(stream.topic, bench.time_s + 1000.0)
    assert bench.control.enable(bench.now) == ""
    for _ in range(600):
        bench.time_s += 0.01
        bench.control.arm.see_pose(position, DOWN, bench.time_s)
        if rng.random() < 0.3:
            ahead = Instant(bench.time_s + ahead_s, bench.time_s, simulated=True)
            bench.control.act(rng.choice([-1.0, 1.0], contract.action_dim), HUMAN, ahead.ros_s, ahead)
        before = len(bench.sent)
        bench.control.command(bench.now)
        if len(bench.sent) > before:
            moved = np.linalg.norm(bench.sent[-1].position - position)
            assert moved <= contract.workspace.max_speed_m_s * 0.01 + 1e-9
            position = bench.sent[-1].position
    assert len(bench.sent) > 300, "and it moves nearly all the time"


# -- the controller's own frame ----------------------------------------------------------------------------------


def _framed(offset=None, shift=(0.0, 0.0, 0.0)) -> Bench:
    bench = Bench(frame=ControllerFrame(offset))
    bench.pass_time(0.1)
    bench.control.frame.see(HOME + np.array(shift), DOWN, bench.time_s)
    return bench


def test_enabling_is_refused_without_the_controllers_pose_and_with_another_one():
    bench = Bench(frame=ControllerFrame())
    bench.pass_time(0.1)
    assert "controller" in bench.control.enable(bench.now)
    bench = Bench(frame=ControllerFrame(topic="/current_pose"))
    bench.pass_time(0.1)
    refusal = bench.control.enable(bench.now)
    assert all(word in refusal for word in ("/current_pose", "pose_broadcaster", "controller:=external"))
    bench = _framed(shift=(0.006, 0.0, 0.0))
    assert "6.0 mm" in bench.control.enable(bench.now)
    turned = _framed()
    turned.control.frame.see(HOME, np.array([np.cos(0.02), np.sin(0.02), 0.0, 0.0]), turned.time_s)
    assert "degrees" in turned.control.enable(turned.now)
    silent = _framed()
    silent.pass_time(0.3)
    assert "no fresh pose of the motion controller" in silent.control.enable(silent.now), "it spoke, but long ago"


def test_the_first_command_starts_at_the_pose_measured_in_the_controllers_own_frame():
    bench = _framed(shift=(0.004, 0.0, 0.0))
    assert bench.control.enable(bench.now) == ""
    out = bench.act((0.0, 0.0, 0.0))
    np.testing.assert_allclose(out.target_position, HOME)
    np.testing.assert_allclose(bench.sent[0].position, HOME + [0.004, 0, 0], atol=1e-12)


@pytest.mark.parametrize("millimetres", [0.0, 4.0])
def test_a_gate_never_enabled_recovers_at_the_pose_measured_in_the_controllers_own_frame(millimetres):
    bench = _framed(shift=(1e-3 * millimetres, 0.0, 0.0))
    bench.control.arm.mode = 4
    assert bench.control.prepare_recovery(bench.now) == ""
    np.testing.assert_allclose(bench.sent[0].position, HOME + [1e-3 * millimetres, 0, 0], atol=1e-12)


def test_nothing_is_sent_to_recover_while_the_frames_differ_or_the_controllers_is_not_known():
    bench = Bench(frame=ControllerFrame(topic="/current_pose"))
    bench.pass_time(0.1)
    assert "/current_pose" in bench.control.prepare_recovery(bench.now) and bench.sent == []
    bench = _framed(shift=(0.0, 0.0, -0.103))  # no end effector set in Desk
    assert "103.0 mm" in bench.control.prepare_recovery(bench.now) and bench.sent == []


def test_an_end_effector_changed_since_enabling_is_noticed_before_a_recovery():
    bench = _framed()
    assert bench.control.enable(bench.now) == ""
    bench.control.stop("enough", bench.now)
    count, bench.position = len(bench.sent), HOME + [0.0, 0.0, 0.05]
    bench.pass_time(0.1)
    assert "50.0 mm" in bench.control.prepare_recovery(bench.now) and len(bench.sent) == count


def test_an_offset_of_the_contract_is_allowed_for_and_turns_with_the_hand():
    offset = ((0.0, 0.0, 0.1), (0.0, 0.0, 0.0, 1.0))  # ahead of the flange; the hand looks down
    assert "mm" in _framed(offset).control.enable(_framed(offset).now)
    bench = _framed(offset, shift=(0.0, 0.0, -0.1))
    assert bench.control.enable(bench.now) == ""
    bench.act((0.5, 0.0, 0.0))
    step = 0.5 * CONTRACT.actions[0].scale
    np.testing.assert_allclose(bench.sent[0].position, HOME + [step, 0, -0.1], atol=1e-9)
    bench.control.stop("enough", bench.now)
    np.testing.assert_allclose(bench.sent[-1].position, HOME + [0, 0, -0.1], atol=1e-9)


def test_an_offset_that_turns_is_applied_in_the_hands_own_frame_and_kept_as_measured():
    """A Franka's hand sits on its flange at 45 degrees. This one is tilted, so that the order of the turns counts."""
    out, turn = np.array([0.0, 0.0, 0.1]), pose.exp(np.array([0.0, 0.0, -np.pi / 4]))
    hand = pose.rotate_by(np.array([0.3, 0.4, 0.0]), DOWN)
    there = HOME + pose.rotate(hand, out), pose.multiply(hand, turn)
    off = pose.rotate_by(np.array([np.radians(1.0), 0.0, 0.0]), there[1])  # within what is allowed
    frame = ControllerFrame((out, turn))
    frame.see(there[0], off, 1.0)
    assert frame.disagreement((HOME, hand), 1.0) == ""
    frame.fix((HOME, hand))
    kept = frame.out((HOME, hand))
    np.testing.assert_allclose(kept[0], there[0], atol=1e-12)
    assert pose.length(pose.rotation_between(kept[1], off)) < 1e-9


def test_a_contract_without_an_offset_keeps_its_hash_and_one_with_it_has_another():
    assert CONTRACT.hash == "e8c363b1ec709f62", "bags and checkpoints of this contract exist"
    offset = dataclasses.replace(CONTRACT, controller_offset=((0.0, 0.0, 0.1), (0.0, 0.0, 0.0, 1.0)))
    assert offset.hash != CONTRACT.hash and TaskContract.from_dict(offset.to_dict()) == offset
    assert "controller_offset" not in CONTRACT.to_dict()

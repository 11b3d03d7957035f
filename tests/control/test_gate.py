"""SafetyGate: what it promises for single actions, sources, holding and resetting."""

import time

import numpy as np
import pytest

from world4rl_control import pose
from world4rl_control.gate import SafetyGate
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource

HOME = np.array([0.45, 0.0, 0.30])
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
POLICY, HUMAN = ActionSource.POLICY, ActionSource.HUMAN


def _gate(name: str = "franka_sim_press") -> SafetyGate:
    gate = SafetyGate(TaskContract.load(name))
    gate.enable(HOME, DOWN, 0.08, 0.0)
    return gate


def test_disabled_until_enabled_and_after_disable():
    gate = SafetyGate(TaskContract.load("franka_sim_press"))
    out = gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.0)
    assert not out.accepted and "enable" in out.reason
    gate.enable(HOME, DOWN, None, 0.0)
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.0).accepted
    gate.disable("robot mode 4")
    out = gate.apply([1, 0, 0], POLICY, HOME, DOWN, 1.0)
    assert (out.accepted, out.reason, gate.reason) == (False, "robot mode 4", "robot mode 4")


def test_enable_refuses_a_pose_that_is_not_finite_and_stays_disabled():
    gate = _gate()
    with pytest.raises(ValueError, match="not usable"):
        gate.enable([np.nan, 0, 0], DOWN, None, 0.0)
    assert not gate.enabled


def test_an_action_moves_the_target_by_its_scale_and_is_clamped_to_one():
    gate = _gate()
    scale = gate.contract.actions[0].scale
    out = gate.apply([0.5, 0, 0], POLICY, HOME, DOWN, 0.0)
    np.testing.assert_allclose(out.target_position, HOME + [0.5 * scale, 0, 0], atol=1e-9)
    np.testing.assert_allclose(out.executed, [0.5, 0, 0])
    out = gate.apply([7.0, 0.5, 0], POLICY, out.target_position, DOWN, 0.1)
    np.testing.assert_allclose(out.executed, [1, 0.5, 0], atol=1e-6, err_msg="each axis by itself")
    assert out.executed.dtype == np.float32


def test_the_first_action_starts_at_the_pose_measured_then():
    gate = _gate()
    settled = HOME + [0.0, 0.02, 0.0]
    out = gate.apply([0, 0, 0], POLICY, settled, DOWN, 3.0)
    np.testing.assert_allclose(out.target_position, settled)


@pytest.mark.parametrize(
    ("values", "word"),
    [([np.nan, 0, 0], "finite"), ([np.inf, 0, 0], "finite"), ([0, 0], "shape"), ([], "shape"), ("abc", "numbers")],
)
def test_unusable_actions_are_dropped_counted_and_named(values, word):
    gate = _gate()
    before = gate.target
    out = gate.apply(values, POLICY, HOME, DOWN, 0.0)
    assert not out.accepted and word in out.reason and word in gate.reason and gate.rejected == 1
    np.testing.assert_array_equal(gate.target[0], before[0])
    assert gate.apply([0, 0, 0], POLICY, HOME, DOWN, 0.0).accepted and gate.reason == ""


def test_an_action_without_a_source_is_dropped_and_counted():
    gate = _gate()
    for source in (ActionSource.UNKNOWN, 77):
        assert "source" in gate.apply([0, 0, 0], source, HOME, DOWN, 0.0).reason
    assert gate.rejected == 2


def test_at_most_one_action_per_period_and_early_ones_are_no_fault():
    gate = _gate()
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 1.0).accepted
    assert "early" in gate.apply([1, 0, 0], POLICY, HOME, DOWN, 1.03).reason
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 1.09).accepted
    assert gate.rejected == 0


def test_the_target_stays_in_the_box_and_the_executed_action_says_so():
    gate = _gate()
    high = np.array(gate.contract.workspace.high)
    near = np.array([high[0] - 0.01, 0.0, 0.3])
    gate.enable(near, DOWN, None, 0.0)
    out = gate.apply([1, 1, 0], POLICY, near, DOWN, 0.0)
    assert out.target_position[0] == pytest.approx(high[0])
    assert out.executed[0] == pytest.approx(0.01 / gate.contract.actions[0].scale, abs=1e-6)
    assert out.executed[1] == pytest.approx(1.0)


def test_outside_the_box_only_inward_moves_are_allowed():
    gate = _gate()
    outside = np.array([gate.contract.workspace.high[0] + 0.05, 0.0, 0.3])
    gate.enable(outside, DOWN, None, 0.0)
    assert gate.apply([1, 0, 0], POLICY, outside, DOWN, 0.0).target_position[0] == pytest.approx(outside[0])
    assert gate.apply([-1, 0, 0], POLICY, outside, DOWN, 0.1).target_position[0] < outside[0]


def test_a_move_along_the_box_takes_the_target_of_a_pushed_arm_no_further_out():
    gate = _gate()
    edge = np.array([gate.contract.workspace.high[0], 0.0, 0.3])
    gate.apply([0, 0, 0], POLICY, edge, DOWN, 0.0)
    out = gate.apply([0, 1, 0], POLICY, edge + [0.1, 0.0, 0.0], DOWN, 0.1)  # pushed out, further than the allowed lag
    assert out.target_position[0] == pytest.approx(edge[0] + 0.1 - gate.contract.workspace.max_lag_m)


def test_leaning_on_a_table_still_allows_sliding_along_it():
    gate = _gate()
    now = 0.0
    for _ in range(5):
        out = gate.apply([0, 0, -1], POLICY, HOME, DOWN, now)  # the arm does not follow: it touches
        now += 0.1
    assert out.target_position[2] == pytest.approx(HOME[2] - gate.limits.max_lag_m, abs=1e-6)
    slid = gate.apply([1, 0, 0], POLICY, HOME, DOWN, now)
    assert slid.target_position[0] - HOME[0] > 0.5 * gate.contract.actions[0].scale


def test_an_arm_pushed_away_takes_its_target_along():
    gate = _gate()
    gate.apply([0, 0, 0], POLICY, HOME, DOWN, 0.0)
    pushed = HOME + [0.0, 0.2, 0.0]
    out = gate.apply([0, 0, 0], POLICY, pushed, DOWN, 0.1)
    assert np.linalg.norm(out.target_position - pushed) <= gate.limits.max_lag_m + 1e-6
    assert np.abs(out.executed).max() <= 1.0


def test_without_rotation_actions_the_orientation_of_the_start_is_kept():
    gate = _gate()
    tilt = np.array([np.cos(0.05), np.sin(0.05), 0.0, 0.0])
    first = gate.apply([0, 0, 0], POLICY, HOME, tilt, 0.0)
    later = gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.1)
    np.testing.assert_allclose(first.target_quat, tilt)
    np.testing.assert_allclose(later.target_quat, tilt)
    twisted = np.array([0.0, 1.0, 0.0, 0.0])  # turned by half a turn: the target must not pull from that far
    far = gate.apply([0, 0, 0], POLICY, HOME, twisted, 0.2).target_quat
    assert 2 * np.arccos(min(1.0, abs(far @ twisted))) <= gate.limits.max_lag_rad + 1e-6
    np.testing.assert_allclose(gate.apply([0, 0, 0], POLICY, HOME, DOWN, 0.3).target_quat, tilt, atol=1e-9)


def test_gripper_hysteresis_and_absolute_meaning():
    gate = _gate("franka_sim_lift")
    wishes = (1, 0.1, -0.1, -0.5, -0.1, 0.9)
    sent = [gate.apply([0, 0, 0, wish], POLICY, HOME, DOWN, 0.1 * i) for i, wish in enumerate(wishes)]
    assert [out.gripper for out in sent] == [None, None, None, "close", None, "open"]
    assert [out.executed[3] for out in sent] == [1, 1, 1, -1, -1, 1]


def test_gripper_of_unknown_width_is_always_told_a_closed_one_to_open_and_fixed_one_once():
    gate = _gate("franka_sim_lift")
    for width in (None, 0.0):
        gate.enable(HOME, DOWN, width, 0.0)
        assert gate.apply([0, 0, 0, 1], POLICY, HOME, DOWN, 0.0).gripper == "open"
    gate = _gate("franka_sim_press")  # fixed closed, enabled with an open hand
    commands = [gate.apply([0, 0, 0], POLICY, HOME, DOWN, 0.1 * i).gripper for i in range(3)]
    assert commands == ["close", None, None]


def test_silence_and_a_stale_pose_hold_and_name_themselves():
    gate = _gate()
    assert "no usable action" in gate.check(60.0), "enabled, and nobody speaks"
    gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.0)
    target = gate.target[0]
    assert gate.check(0.2) == ""
    assert "no usable action" in gate.check(1.0)
    out = gate.apply([1, 0, 0], POLICY, HOME, DOWN, 1.1, pose_age_s=0.5)
    assert not out.accepted and "no measured pose" in out.reason
    assert "no measured pose" in gate.check(1.2, pose_age_s=0.6)
    np.testing.assert_array_equal(gate.target[0], target)
    assert not gate.apply([1, 0, 0], POLICY, [np.nan] * 3, DOWN, 1.2).accepted
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 1.3).accepted and gate.check(1.3) == ""


def test_a_human_takes_over_at_once_and_keeps_the_arm_until_release():
    gate = _gate()
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.0).accepted
    gate.apply([0, 1, 0], HUMAN, HOME, DOWN, 0.02)  # too early to move, but the arm is hers now
    assert "human" in gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.1).reason
    assert gate.apply([0, 1, 0], HUMAN, HOME, DOWN, 0.12).accepted
    assert "release" in gate.apply([1, 0, 0], POLICY, HOME, DOWN, 60.0).reason
    assert gate.rejected == 2
    gate.release()
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 60.1).accepted


def test_a_policy_takes_over_from_an_explorer_which_gets_the_arm_back_after_silence():
    gate = _gate()
    assert gate.apply([1, 0, 0], ActionSource.RANDOM, HOME, DOWN, 0.0).accepted
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.1).accepted
    assert "POLICY" in gate.apply([1, 0, 0], ActionSource.RANDOM, HOME, DOWN, 0.2).reason
    assert gate.apply([1, 0, 0], ActionSource.RANDOM, HOME, DOWN, 5.0).accepted


def _follow(gate: SafetyGate, position, quat, now):
    """Drive a perfect arm until the reset is over; every step and pose of the way."""
    steps = []
    for _ in range(200):
        if not gate.resetting:
            return steps
        out = gate.reset_step(position, quat, now)
        assert out.accepted
        steps.append(np.linalg.norm(out.target_position - position))
        position, quat, now = out.target_position, out.target_quat, now + 0.1
    raise AssertionError("the reset never arrived")


def test_reset_goes_home_in_bounded_steps_and_actions_wait_for_it():
    gate = _gate()
    start, tilted = np.array([0.60, 0.25, 0.10]), np.array([np.cos(0.2), np.sin(0.2), 0.0, 0.0])
    gate.enable(start, tilted, None, 0.0)
    gate.start_reset("home")
    assert "resetting" in gate.apply([1, 0, 0], POLICY, start, tilted, 0.0).reason
    steps = _follow(gate, start, tilted, 0.1)
    assert max(steps) <= min(gate.limits.max_step_m, gate.limits.max_lag_m) + 1e-6
    np.testing.assert_allclose(gate.target[0], gate.contract.poses["home"][0], atol=gate.config.arrived_m)
    assert gate.apply([1, 0, 0], POLICY, gate.target[0], gate.target[1], 100.0).accepted


def _reset_short_of_home(gate: SafetyGate, left_m: float, speed_m_s: float = 0.0, seconds: float = 5.0) -> float:
    """A reset of an arm that stays so far from home, or creeps towards it; seconds until it has arrived, or inf."""
    gate.start_reset("home")
    for count in range(round(seconds / 0.1)):
        short = max(0.0, left_m - 0.1 * count * speed_m_s)
        gate.reset_step(HOME + [0.0, short, 0.0], DOWN, 0.1 * (count + 1))
        if not gate.resetting:
            return 0.1 * count
    return np.inf


def test_a_reset_arrives_where_the_arm_rests_near_home_and_its_target_is_there():
    """An impedance controller without an integral part leaves friction as distance for ever."""
    assert 0.5 <= _reset_short_of_home(_gate(), 0.019) < 2.0
    assert _reset_short_of_home(_gate(), 0.009) == 0.0


def test_an_arm_that_is_blocked_farther_away_or_still_moves_has_not_arrived():
    gate = _gate()
    assert _reset_short_of_home(gate, 0.021) == np.inf and gate.way_left == "21 mm and 0.00 rad"
    creeping = _reset_short_of_home(_gate(), 0.019, speed_m_s=0.004)
    assert creeping == pytest.approx(2.3, abs=0.11), "no sooner than at 10 mm"
    tilted = np.array([np.cos(0.06), np.sin(0.06), 0.0, 0.0])  # by 0.12 rad
    gate = _gate()
    gate.start_reset("home")
    for count in range(50):
        gate.reset_step(HOME, tilted, 0.1 * (count + 1))
    assert gate.resetting


def test_reset_is_not_over_while_the_hand_is_still_tilted():
    gate, (home, upright) = _gate(), TaskContract.load("franka_sim_press").poses["home"]
    tilted = pose.rotate_by(np.array([0.0, 0.0, 1.0]), np.array(upright))
    gate.enable(home, tilted, None, 0.0)
    gate.start_reset("home")
    _follow(gate, np.array(home), tilted, 0.1)
    assert pose.length(pose.rotation_between(gate.target[1], np.array(upright))) <= gate.config.arrived_rad


def test_reset_is_refused_with_a_reason_and_ended_by_a_human():
    gate = _gate()
    with pytest.raises(ValueError, match="home"):
        gate.start_reset("nowhere")
    gate.start_reset()
    assert gate.apply([0, 0, 1], HUMAN, HOME, DOWN, 0.5).accepted and not gate.resetting
    with pytest.raises(ValueError, match="human"):
        gate.start_reset()
    gate.disable("stopped")
    with pytest.raises(ValueError, match="stopped"):
        gate.start_reset()


def test_the_clock_starting_again_does_not_lock_the_arm():
    gate = _gate()
    gate.apply([1, 0, 0], POLICY, HOME, DOWN, 1000.0)
    assert gate.apply([1, 0, 0], POLICY, HOME, DOWN, 0.0).accepted


def test_a_step_at_a_time_before_the_last_one_goes_nowhere():
    """An action may tell of a time that the gate's own clock, by which a reset goes, has not reached."""
    gate, away = _gate(), HOME + [0.1, 0.0, 0.0]
    before = gate.apply([0, 0, 0], POLICY, away, DOWN, 1.1).target_position
    gate.start_reset()
    np.testing.assert_allclose(gate.reset_step(away, DOWN, 1.0).target_position, before)
    assert before[0] - gate.reset_step(away, DOWN, 1.1).target_position[0] > 0.01


@pytest.mark.parametrize("name", ["franka_sim_press", "franka_sim"])
def test_one_action_costs_well_under_a_control_period(name):
    """The budget is 0.1 ms; the bound leaves room for a busy machine."""
    gate = _gate(name)
    action = np.full(gate.contract.action_dim, 0.3)
    times = []
    for i in range(300):
        begin = time.perf_counter()
        gate.apply(action, POLICY, HOME, DOWN, 0.1 * i)
        times.append(time.perf_counter() - begin)
    assert np.min(times) < 2e-4

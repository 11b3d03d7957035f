"""The rules of episodes, pacing and gripper goals, without ROS and without physics."""

import numpy as np
import pytest

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_sim.env import SimEnvConfig
from world4rl_sim.episode_clock import EpisodeClock
from world4rl_sim.experts import ExpertConfig
from world4rl_sim.gripper_goal import GripperGoal
from world4rl_sim.operator import EpisodeMonitor, Scene, ScriptedOperator
from world4rl_sim.pacing import Pacer, PacingConfig

PERIOD_NS = 100_000_000


def scene(index: int, success: bool = False) -> Scene:
    """A scene `index` periods in, with the tool high above a button."""
    button = {"button": (np.array([0.5, 0.0, 0.1]), np.array([0.0, 0.0, 0.0, 1.0]))}
    return Scene((10 + index) * PERIOD_NS, np.array([0.4, 0.1, 0.3]), 0.0, button, success)


def play(monitor: EpisodeMonitor, success_from: int) -> list[Outcome | None]:
    """One action per scene; verdicts of all scenes until the end."""
    verdicts = [monitor.saw(scene(0))]
    for index in range(1, 40):
        monitor.executed(scene(index - 1).stamp_ns)
        verdicts.append(monitor.saw(scene(index, index >= success_from)))
        if verdicts[-1] is not None:
            break
    return verdicts


def test_episode_goes_on_three_actions_after_success() -> None:
    monitor = EpisodeMonitor(horizon=15)
    assert play(monitor, success_from=5) == [None] * 8 + [Outcome.SUCCESS]
    assert monitor.success_stamp_ns == scene(5).stamp_ns


def test_last_action_counts_when_its_effect_is_the_success() -> None:
    """The verdict at the horizon waits for the observation that follows the last action."""
    assert play(EpisodeMonitor(horizon=15), success_from=15) == [None] * 18 + [Outcome.SUCCESS]
    assert play(EpisodeMonitor(horizon=15), success_from=16)[-1] is Outcome.FAILURE
    monitor = EpisodeMonitor(horizon=1)
    monitor.executed(scene(3).stamp_ns)
    assert monitor.saw(scene(3)) is None


@pytest.mark.parametrize("success_from", range(1, 12))
def test_an_episode_on_the_graph_is_as_long_as_one_in_the_process(success_from: int) -> None:
    """Else the outcomes of the two could not be compared, nor would a demonstration show as much of its success."""
    clock = EpisodeClock(8, SimEnvConfig().periods_after_success)
    verdict = None
    while verdict is None:
        terminated, truncated = clock.tick(clock.steps + 1 >= success_from)
        verdict = Outcome.SUCCESS if terminated else Outcome.FAILURE if truncated else None
    monitor = EpisodeMonitor(horizon=8)
    assert (play(monitor, success_from)[-1], monitor.steps) == (verdict, clock.steps)


def test_a_scene_that_was_missed_ends_an_episode_late_but_not_otherwise() -> None:
    """One look after several actions: the success is dated to it, and a horizon that was passed still counts."""
    monitor = EpisodeMonitor(horizon=4)
    for index in range(3):
        monitor.executed(scene(index).stamp_ns)
    assert monitor.saw(scene(3, success=True)) is None
    for index in range(3, 8):
        monitor.executed(scene(index).stamp_ns)
    assert (monitor.saw(scene(8)), monitor.steps) == (Outcome.SUCCESS, 8)
    late = EpisodeMonitor(horizon=4)
    for index in range(6):
        late.executed(scene(index).stamp_ns)
    assert late.saw(scene(6, success=True)) is Outcome.FAILURE


def test_success_that_goes_away_still_counts() -> None:
    """A button springs back: the task was done all the same."""
    monitor = EpisodeMonitor(horizon=15)
    monitor.executed(scene(0).stamp_ns)
    monitor.saw(scene(1, success=True))
    for index in (1, 2, 3):
        monitor.executed(scene(index).stamp_ns)
        verdict = monitor.saw(scene(index + 1))
    assert verdict is Outcome.SUCCESS


def test_operator_acts_once_per_period_in_the_contracts_order() -> None:
    """A full 7-dim contract gets zeros for rotation; a second look at the same instant gives no second action."""
    contract = TaskContract.load("franka_sim")
    operator = ScriptedOperator("press_button", contract, ExpertConfig(noise=0.0))
    action = operator.act(scene(0))
    assert action is not None
    assert action.shape == (contract.action_dim,)
    assert np.count_nonzero(action[3:6]) == 0
    assert action[0] > 0 > action[1]
    assert operator.act(scene(0)) is None
    assert operator.act(scene(1)) is not None
    assert operator.act(scene(-8)) is not None, "a clock that starts again does not hold it up"


def test_operator_repeats_itself_with_the_same_seed_only() -> None:
    contract = TaskContract.load("franka_sim_press")
    operator = ScriptedOperator("press_button", contract, ExpertConfig(noise=0.3, hesitation=0.3))

    def episode(seed: int) -> np.ndarray:
        operator.start(seed)
        return np.stack([operator.act(scene(index)) for index in range(20)])

    first = episode(1)
    assert np.array_equal(first, episode(1))
    assert not np.array_equal(first, episode(2))
    assert (first == 0).all(axis=1).any()  # it hesitates now and then


def test_lift_needs_a_contract_with_a_hand() -> None:
    with pytest.raises(ValueError, match="gripper"):
        ScriptedOperator("lift_cube", TaskContract.load("franka_sim_press"), ExpertConfig())


def test_lockstep_ticks_at_once_on_a_target_and_by_and_by_without() -> None:
    """Idle waits are short, waits for a slow policy that is at work are long."""
    now = [0.0]
    pacer = Pacer(PacingConfig(lockstep_timeout_s=0.5, idle_timeout_s=0.1), lambda: now[0])
    pacer.ticked(0.1)
    assert pacer.wait_s() == pytest.approx(0.1)
    pacer.target_came()
    assert pacer.wait_s() == 0.0
    pacer.ticked(0.1)
    assert pacer.wait_s() == pytest.approx(0.5)
    now[0] = 0.5
    assert pacer.wait_s() == 0.0
    pacer.ticked(0.1)
    assert pacer.wait_s() == pytest.approx(0.1)


def test_free_running_keeps_pace_with_ticks_that_are_late() -> None:
    """Every fifth tick draws pictures and takes two and a half ticks; on average time runs at the factor asked for."""
    now = [0.0]
    pacer = Pacer(PacingConfig(lockstep=False, real_time_factor=2.0), lambda: now[0])
    for tick in range(100):
        now[0] += pacer.wait_s() + (0.025 if tick % 5 == 0 else 0.001)
        pacer.ticked(0.02)
    assert now[0] + pacer.wait_s() == pytest.approx(100 * 0.02 / 2.0)
    pacer.target_came()
    assert pacer.wait_s() > 0.0, "a target is no reason to move on before the time"


def test_a_long_pause_is_not_made_up_for_by_a_burst() -> None:
    now = [0.0]
    pacer = Pacer(PacingConfig(lockstep=False, catch_up_s=0.1), lambda: now[0])
    pacer.ticked(0.02)
    now[0] = 5.0
    ticks = 0
    pacer.ticked(0.02)
    while pacer.wait_s() == 0.0:
        pacer.ticked(0.02)
        ticks += 1
    assert ticks * 0.02 == pytest.approx(0.1, abs=0.021)


def test_pacing_refuses_a_clock_that_stands_still() -> None:
    with pytest.raises(ValueError, match="real_time_factor"):
        PacingConfig(real_time_factor=0.0)


def test_grasp_ends_when_the_fingers_stand_and_judges_the_width() -> None:
    """An object of 4 cm is grasped with a wide tolerance and refused with a narrow one."""
    for tolerance, success in ((0.08, True), (0.005, False)):
        goal = GripperGoal("grasp", 0.0, tolerance, tolerance)
        ends = [goal.update(width) for width in (0.08, 0.05, 0.041, 0.041, 0.041)]
        assert ends[:4] == [None] * 4
        assert ends[4] is not None
        assert ends[4][0] is success


def test_move_does_not_end_where_an_object_blocks() -> None:
    goal = GripperGoal("move", 0.0)
    assert [goal.update(0.04) for _ in range(50)] == [None] * 50
    assert goal.update(0.001) == (True, "")

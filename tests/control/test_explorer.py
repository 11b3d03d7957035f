"""Random exploration and the pacing of observation-driven sources, without ROS."""

import numpy as np

from world4rl_control.explorer import ExplorerConfig, RandomExplorer
from world4rl_control.pacing import ObservationPacer
from world4rl_data.contract import TaskContract

LIFT = TaskContract.load("franka_sim_lift")


def _actions(seed: int, count: int = 2000, config: ExplorerConfig | None = None) -> np.ndarray:
    explorer = RandomExplorer(LIFT, seed, config)
    return np.stack([explorer.act() for _ in range(count)])


def test_actions_fit_the_contract_and_use_its_whole_range():
    actions = _actions(0)
    assert actions.dtype == np.float32 and actions.shape == (2000, LIFT.action_dim)
    assert np.abs(actions).max() <= 1.0
    assert (actions[:, :3].max(axis=0) > 0.95).all() and (actions[:, :3].min(axis=0) < -0.95).all()
    assert np.abs(actions[:, :3].mean(axis=0)).max() < 0.15, "no drift to one side"


def test_the_seed_decides_everything():
    np.testing.assert_array_equal(_actions(7, 50), _actions(7, 50))
    assert not np.array_equal(_actions(7, 50), _actions(8, 50))


def test_successive_actions_belong_together_and_jolts_break_that():
    def correlation(jolts: float) -> float:
        x = _actions(0, config=ExplorerConfig(jolt_probability=jolts))[:, 0]
        return float(np.corrcoef(x[:-1], x[1:])[0, 1])

    assert correlation(0.0) > 0.7
    assert correlation(0.0) > correlation(0.3) > 0.2


def test_the_gripper_is_held_open_or_closed_for_a_while():
    hand = _actions(0)[:, 3]
    assert set(np.unique(hand)) == {-1.0, 1.0}
    changes = np.count_nonzero(np.diff(hand))
    expected = 2000 * LIFT.period_s / ExplorerConfig().gripper_hold_s
    assert 0.5 * expected < changes < 1.5 * expected


def test_a_source_acts_once_per_period_on_complete_observations_only():
    pacer = ObservationPacer(["/front", "/pose"], period_s=0.1)
    pacer.saw("/front")
    assert not pacer.due(0.0) and pacer.missing == ["/pose"]
    pacer.saw("/pose")
    assert pacer.due(0.0) and not pacer.due(0.0)
    for topic in ("/front", "/pose"):
        pacer.saw(topic)
    assert not pacer.due(0.05), "too early"
    assert pacer.due(0.095), "jitter is no reason to skip a period"
    for topic in ("/front", "/pose"):
        pacer.saw(topic)
    assert pacer.due(0.0), "a clock that starts again does not block"

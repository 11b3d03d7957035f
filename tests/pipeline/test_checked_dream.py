"""The replay check of a dreamer: what it says of episodes that cannot be told. Untrained models, the real code."""

from __future__ import annotations

from pathlib import Path

import pytest
from dream_rig import policy, press_store, reward_model, world_model

from world4rl.refinement.checked_dream import check_dream
from world4rl.refinement.dreamed import Dreamer
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.measures.replay_check import ReplayCheckConfig


@pytest.mark.parametrize("hits, told", [(1, False), (3, True)])
def test_successes_that_are_recorded_too_briefly_are_named(tmp_path: Path, hits: int, told: bool) -> None:
    """They succeed in their last frame: no dream of them can succeed for three, however true it is."""
    fresh = press_store(tmp_path / "fresh", won=(0, 2))
    imagination = ImaginationConfig(num_envs=4, horizon=3, hits=hits)
    limits = ReplayCheckConfig(cautious_from=1.1, min_episodes=1)
    dreamer = Dreamer(world_model(), reward_model())
    check = check_dream(dreamer, policy(), fresh, range(len(fresh)), imagination, limits, seed=0).check
    assert not check.passed
    wanted = "2 real successes 2 end before 3 frames show them"
    assert (wanted in check.reason and "imagination.hits" in check.reason) == told

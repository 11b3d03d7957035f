"""The replay check of a dreamer: what it says of episodes that cannot be told. Untrained models, the real code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dream_rig import policy, press_store, reward_model, world_model
from finished_rig import run_with_dreams

from world4rl import pipeline
from world4rl.refinement import checked_dream
from world4rl.refinement.checked_dream import check_dream
from world4rl.refinement.dreamed import Dreamer
from world4rl.runs.load_run import load_run
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.measures.replay_check import ReplayCheckConfig
from world4rl_wm.model.frames import StartStates


@pytest.mark.parametrize("hits, told", [(1, False), (3, True)])
def test_successes_that_are_recorded_too_briefly_are_named(tmp_path: Path, hits: int, told: bool) -> None:
    """They succeed in their last frame: no dream of them can succeed for three, however true it is."""
    fresh = press_store(tmp_path / "fresh", won=(0, 2))
    imagination = ImaginationConfig(num_envs=4, horizon=3, hits=hits)
    limits = ReplayCheckConfig(cautious_from=1.1, min_episodes=1)
    dreamer = Dreamer(world_model(), reward_model())
    episodes = range(len(fresh))
    starts = StartStates.of(fresh, episodes)
    check = check_dream(dreamer, policy(), fresh, episodes, starts, imagination, limits, seed=0).check
    assert not check.passed
    wanted = "2 real successes 2 end before 3 frames show them"
    assert (wanted in check.reason and "imagination.hits" in check.reason) == told


def test_the_stage_of_a_run_asks_the_dream_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds what refinement's own models, settings and start states say, without the judge."""
    dreams: list[tuple[str, ImaginationConfig]] = []
    original = checked_dream.dreamed_success

    def dreamed_success(who: GaussianPolicy, dreamer: Dreamer, starts: StartStates, *more: Any) -> float:
        dreams.append((starts.digest, more[0]))
        return original(who, dreamer, starts, *more)

    monkeypatch.setattr(checked_dream, "dreamed_success", dreamed_success)
    run = load_run(run_with_dreams(tmp_path), progress=False)
    start, store, limits = policy(3), run.store("check"), run.preset.replay_check.limits
    start.save(run.checkpoint("start"))
    rehearsal = pipeline.rehearsal(run)
    wanted = rehearsal.check(start, store, range(len(store)), limits, rehearsal.judged).check.to_dict()
    for judge in ("world_model_b", "reward_b"):
        shutil.rmtree(run.checkpoint(judge))
    (run.path / "replay_check.json").unlink()
    pipeline.replay_check(run)
    assert run.read("replay_check.json") == json.loads(json.dumps(wanted))
    assert len(dreams) == 2 and dreams[0] == dreams[1]

"""What practice begins with: the policy that works now, or what BC on dreams makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from dream_rig import policy, press_store, reward_model, world_model

from world4rl.refinement.checkpoint_choice import Selection
from world4rl.refinement.dream_bc import DreamBcConfig
from world4rl.refinement.dreamed import Dreamer
from world4rl.refinement.refine import RefineConfig
from world4rl.refinement.rehearsal import Rehearsal
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.model.frames import StartStates

DREAM, JUDGE = Dreamer(world_model(0), reward_model()), Dreamer(world_model(5), reward_model())
CONFIG = RefineConfig(
    imagination=ImaginationConfig(horizon=2, hits=1),
    selection=Selection(episodes=2),
    dream_bc=DreamBcConfig(steps=2, batch_size=6),
)


@pytest.mark.parametrize(("judged_before", "judged_copy", "kept"), [(0.9, 0.6, "before"), (0.6, 0.6, "copy")])
def test_practice_begins_with_what_the_judge_sees_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_before: float, judged_copy: float, kept: str
) -> None:
    """BC on dreams may undo what a refined policy has learned; then it is that one which practises on. At equal figures
    it is the copy. The next call finds both figures, and asks nobody."""
    store, before, asked = press_store(tmp_path / "store", (3, 4), won=(0, 1)), policy(), []

    def dreamed_success(one: GaussianPolicy, *_: object) -> float:
        asked.append(one)
        return judged_before if torch.equal(one.mean.weight, before.mean.weight) else judged_copy

    monkeypatch.setattr("world4rl.refinement.rehearsal.dreamed_success", dreamed_success)
    starts, out = StartStates.of(store, [0, 1]), tmp_path / "start"
    rehearsal = Rehearsal(DREAM, JUDGE, starts, starts, (store, [0, 1]), CONFIG, 0, False)
    for _ in range(2):
        start = rehearsal.start(before, out)
        assert (start.judged_before, start.judged) == (judged_before, max(judged_before, judged_copy))
        assert start.same == (kept == "before") and start.before is before
        saved = GaussianPolicy.load(out).mean.weight
        assert torch.equal(saved, start.policy.mean.weight)
        assert torch.equal(saved, before.mean.weight) == (kept == "before")
        told = json.loads((out / "metrics.json").read_text())
        assert told["began_with"] == kept and ("training" in told) == (kept == "copy")
        assert told["std"] == pytest.approx(start.policy.std.tolist())
    assert len(asked) == 2


def test_a_copy_that_no_judge_has_seen_yet_is_seen(tmp_path: Path) -> None:
    """The call that made it was interrupted before the judge had dreamed, or was one of an earlier version."""
    store = press_store(tmp_path / "store", (3, 4), won=(0, 1))
    starts, out = StartStates.of(store, [0, 1]), tmp_path / "start"
    rehearsal = Rehearsal(DREAM, JUDGE, starts, starts, (store, [0, 1]), CONFIG, 0, False)
    policy(seed=9).save(out, metrics={"std": [0.3]})
    start = rehearsal.start(policy(), out)
    told = json.loads((out / "metrics.json").read_text())
    seen = {"judged_copy": start.judged, "judged_before": start.judged_before}
    assert told == {"std": [0.3], "began_with": "copy"} | seen
    assert torch.equal(start.policy.mean.weight, policy(seed=9).mean.weight), "untrained models tell no difference"

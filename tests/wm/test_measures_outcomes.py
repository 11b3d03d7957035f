"""Honest failure: outcomes of dreams are read as the replay check reads them, and counted by step."""

from __future__ import annotations

from pathlib import Path

import torch
from made_episodes import made_store
from measured_models import WorldOf, world_episode
from small_models import small_contract
from torch import Tensor

from world4rl_wm.measures.outcomes import by_horizon, confusion, outcome_steps
from world4rl_wm.measures.replay import replay, verdicts

CONTRACT = small_contract()


class Bright(torch.nn.Module):
    """Calls it a success where the left half is bright."""

    threshold = 0.5
    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(0.1))

    @torch.no_grad()
    def probability(self, frames: Tensor) -> Tensor:
        return (frames[:, 0, 0, 0] > self.level).float()


def test_outcomes_are_those_of_the_replay_check(tmp_path: Path) -> None:
    """Of whole episodes, however many are dreamed at a time."""
    actions = [[0.5, 0.5, 0.5, 0.0], [0.5, -0.5, 0.5, -0.5], [-0.5, -0.5, -0.5, -0.5], [0.0, 0.5, 0.5], [0.5, 0.5]]
    index = [2, None, None, None, 1]
    episodes = [world_episode(CONTRACT, i, a, s) for i, (a, s) in enumerate(zip(actions, index))]
    store = made_store(tmp_path / "store", CONTRACT, episodes)
    model, judge, rows = WorldOf(CONTRACT), Bright(), list(range(len(actions)))
    _, expected = verdicts(replay(model, store, rows), judge, hits=2)
    for batch in (2, 64):
        real, dreamed = outcome_steps(model, judge, store, rows, hits=2, batch=batch)
        assert real.tolist() == [2, -1, -1, -1, 1]
        assert torch.equal(dreamed >= 0, expected)
        # bright from frame 2 on; never two in a row; never; a failure's last frame, which counts; a success's, which
        # does not
        assert dreamed.tolist() == [2, -1, -1, 3, -1]


def test_confusion_counts_every_episode_once() -> None:
    real, dreamed = torch.tensor([1, 1, 1, 0, 0]).bool(), torch.tensor([1, 1, 0, 0, 1]).bool()
    found = confusion(real, dreamed)
    assert found.rows == [("success", 2, 1), ("failure", 1, 1)]
    assert (found.honest_success.share, found.honest_failure.share) == (2 / 3, 1 / 2)
    assert found.honest_failure.low < 0.5 < found.honest_failure.high
    assert confusion(real[:3], dreamed[:3]).honest_failure.share is None


def test_by_step_only_what_had_happened_by_then_counts() -> None:
    real, dreamed = torch.tensor([2, 4, -1, -1]), torch.tensor([3, -1, 4, -1])
    found = by_horizon(real, dreamed, 4)
    tpr, fpr, j = (found[name] for name in ("tpr", "fpr", "j"))
    assert tpr[0] is None and j[0] is None, "nothing had succeeded yet"
    assert [e and e.mean for e in tpr] == [None, 0.0, 1.0, 0.5]
    assert [e and e.mean for e in fpr] == [0.0, 0.0, 0.0, 0.5]
    assert [e and (e.mean, e.episodes) for e in j] == [None, (0.0, 4), (1.0, 4), (0.0, 4)]


def test_j_of_a_perfect_dream_is_certain() -> None:
    steps = torch.tensor([3, -1] * 20)
    j = by_horizon(steps, steps, 3)["j"][-1]
    assert j is not None and (j.mean, j.low, j.high) == (1.0, 1.0, 1.0)

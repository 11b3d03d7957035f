"""Open-loop errors, action following and counterfactual differences in a world where the right answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import made_store
from measured_models import STEP, WorldOf, world_episode, world_store
from small_models import small_contract, small_store, world_model

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.measures.counterfactual import correlation, counterfactual_pairs, differences
from world4rl_wm.measures.dreams import DreamBatch, Starts, dream_batches
from world4rl_wm.measures.frame_errors import PSNR_CEILING
from world4rl_wm.measures.group import DreamSettings, measure_group
from world4rl_wm.measures.open_loop import by_episode
from world4rl_wm.model.frames import StartStates, to_uint8

CONTRACT = small_contract()
ACTIONS = [[0.5, 0.5, 0.5, -0.5, 0.5], [-0.25, -0.25, -0.25], [1.0, -1.0, 1.0, 1.0]]


def test_starts_lie_every_so_many_frames_and_end_with_the_episode(tmp_path: Path) -> None:
    store = world_store(tmp_path / "store", CONTRACT, ACTIONS)
    starts = Starts.of(store, [0, 1, 2], 4, every=2)
    assert starts.episode.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert starts.step.tolist() == [0, 2, 4, 0, 2, 0, 2]
    assert starts.left.tolist() == [5, 3, 1, 3, 1, 4, 2]
    expected = [store.frames(e)[s] for e, s in zip(starts.episode.tolist(), starts.step.tolist())]
    assert torch.equal(starts.windows.frames[starts.rows], torch.from_numpy(np.stack(expected)))


def test_another_episodes_actions_are_those_of_the_same_step(tmp_path: Path) -> None:
    """Everyone gets somebody else's, nobody's are lent twice, and none are read beyond their end."""
    store = world_store(tmp_path / "store", CONTRACT, ACTIONS)
    starts = Starts.of(store, [0, 1, 2], 4, every=2)
    other = starts.with_other_actions(seed=3)
    lenders = []
    for row, (episode, step) in enumerate(zip(starts.episode.tolist(), starts.step.tolist())):
        left = int(other.left[row])
        got = other.windows.actions[other.action_rows[row] : other.action_rows[row] + left, 0].tolist()
        match = [e for e in range(3) if e != episode and ACTIONS[e][step : step + left] == got]
        if step == 0:
            lenders += match
            assert left == min(len(ACTIONS[episode]), len(ACTIONS[match[0]]))
        assert match
    assert sorted(lenders) == [0, 1, 2]
    with pytest.raises(ValueError, match="measure two or more"):
        Starts.of(store, [1], 4, every=2).with_other_actions()


def test_dreams_are_the_world_models_own(tmp_path: Path) -> None:
    """The real network: a dream from an episode's beginning is what `Dream` dreams there, proprioception included."""
    store, model = small_store(tmp_path / "store", CONTRACT, (3, 3)), world_model(CONTRACT).requires_grad_(False)
    (batch,) = dream_batches(model, Starts.of(store, [0, 1], 4, every=9), horizon=9, seed=5)
    dream = Dream.from_start(model, StartStates.of(store, [0, 1]), seed=5)
    actions = torch.from_numpy(np.stack([store.actions(e) for e in (0, 1)]))
    assert torch.equal(batch.dreamed, torch.stack([to_uint8(dream.step(actions[:, t])) for t in range(3)], 1))
    assert torch.equal(batch.real[1], torch.from_numpy(np.array(store.frames(1)[1:])))


def test_the_true_model_has_no_error_and_copying_has_the_known_one(tmp_path: Path) -> None:
    store = world_store(tmp_path / "store", CONTRACT, ACTIONS)
    settings = DreamSettings(horizon=50, every=10, batch=2)
    found = measure_group(WorldOf(CONTRACT), store, [0, 1, 2], settings, progress=False)
    assert (found.episodes, found.starts, found.longest) == (3, 3, 5)
    moving, psnr = found.open_loop["moving"], found.open_loop["psnr"]
    assert [e and e.episodes for e in psnr.ours] == [3, 3, 3, 2, 1], "what is not there is not counted"
    assert all(e is not None and e.mean == pytest.approx(PSNR_CEILING) for e in psnr.ours)
    assert moving.ours[0] is not None and moving.ours[0].mean == 0
    assert moving.rival[0] is not None
    assert moving.rival[0].mean == pytest.approx(STEP / 255 * (0.5 + 0.25 + 1.0) / 3)
    assert moving.advantage[0] is not None and moving.advantage[0].low > 0
    second = moving.rival[1]
    assert second is not None and second.episodes == 2, "episode 2 is back where it began: nothing moved"
    assert np.nanmax(found.dream_error) == 0


def test_a_model_that_ignores_actions_follows_none(tmp_path: Path) -> None:
    store = world_store(tmp_path / "store", CONTRACT, ACTIONS)
    settings = DreamSettings(every=10)
    ignores = measure_group(WorldOf(CONTRACT, gain=0.0), store, [0, 1, 2], settings, progress=False)
    follows = measure_group(WorldOf(CONTRACT), store, [0, 1, 2], settings, progress=False)
    gap = ignores.following["moving"].advantage[0]
    assert gap is not None and (gap.low, gap.mean, gap.high) == (0, 0, 0)
    gap = follows.following["moving"].advantage[0]
    assert gap is not None and gap.low > 0
    assert ignores.open_loop["moving"].ours == ignores.open_loop["moving"].rival, "it is the copying baseline"


def test_every_observer_sees_every_dream_once(tmp_path: Path) -> None:
    class Counts:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def update(self, starts: Starts, batch: DreamBatch) -> None:
            self.seen += batch.starts.tolist()

    store, counts = world_store(tmp_path / "store", CONTRACT, ACTIONS), Counts()
    settings = DreamSettings(every=2, batch=3)
    measure_group(WorldOf(CONTRACT), store, [0, 1, 2], settings, observers=[counts], progress=False)
    assert sorted(counts.seen) == list(range(7))


def test_an_episode_counts_once_however_many_dreams_it_has(tmp_path: Path) -> None:
    store = world_store(tmp_path / "store", CONTRACT, ACTIONS)
    starts = Starts.of(store, [0, 1, 2], 4, every=2)
    values = torch.tensor([1.0, 2.0, torch.nan, 4.0, 6.0, torch.nan, torch.nan]).unsqueeze(1)
    assert by_episode(values, starts)[:, 0].tolist() == pytest.approx([1.5, 5.0, np.nan], nan_ok=True)


def test_pairs_begin_alike_and_go_on_differently(tmp_path: Path) -> None:
    def episode(number: int, seed: int | None, *actions: float):  # type: ignore[no-untyped-def]
        return world_episode(CONTRACT, number, list(actions), seed=seed)

    unlike = episode(5, 9, 0.5)
    for images in unlike.images.values():
        images[0] += 1
    episodes = [episode(0, 7, 0.5, 0.5), episode(1, 8, 0.1), episode(2, 7, -0.5), episode(3, None, 0.2)]
    episodes += [episode(4, 9, 0.1), unlike, episode(6, 8, 0.1)]
    store = made_store(tmp_path / "store", CONTRACT, episodes)
    assert counterfactual_pairs(store) == ([(0, 2)], 1)


@pytest.mark.parametrize(("gain", "error"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (2.0, 1.0)])
def test_differences_of_known_models(tmp_path: Path, gain: float, error: float) -> None:
    """Right, blind, timid and exaggerating: the relative error tells them apart; the direction only the blind miss."""
    pair = [world_episode(CONTRACT, i, a, seed=1) for i, a in enumerate([[0.25, 0.25, 0.25], [-0.25, -0.25]])]
    same = [world_episode(CONTRACT, i, a, seed=2) for i, a in ((2, [0.25, -0.25]), (3, [-0.25, 0.25]))]
    store = made_store(tmp_path / "store", CONTRACT, [*pair, *same])
    pairs, _ = counterfactual_pairs(store)
    found = differences(WorldOf(CONTRACT, gain), store, pairs, horizon=50, batch=1)
    assert found.error.shape == (2, 50)
    relative = (found.error / found.size).sqrt()
    assert relative[0, :2].tolist() == pytest.approx([error, error], abs=0.03)
    assert found.correlation[0, :2].tolist() == pytest.approx([float(gain > 0)] * 2, abs=1e-4)
    assert relative[0, 2:].isnan().all(), "the shorter one has ended"
    assert relative[1, 1].isnan(), "both futures look alike there: nothing to tell"
    second = found.curves()["relative_error"][1]
    assert second is not None and second.episodes == 1 and second.mean == pytest.approx(error, abs=0.03)


def test_correlation_is_pearsons() -> None:
    one, other = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(0))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one.numpy(), other.numpy())]
    assert correlation(one + 5, other * 3).tolist() == pytest.approx(expected, abs=1e-5)

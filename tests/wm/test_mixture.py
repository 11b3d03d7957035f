"""The data mixture: shares by source and task are those asked for, and without it nothing changes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import small_contract, world_model

from world4rl_data.store import EpisodeStore
from world4rl_wm.model.frames import FrameWindows
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.mixture import Mixture, draw_weighted, episode_weights
from world4rl_wm.training.step import WorldModelTraining, training_batch

EPISODES = (("expert", "push", 4), ("policy", "push", 8), ("policy", "press", 2), ("random", "press", 10))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    contract = small_contract()
    episodes = [made_episode(contract, number, length) for number, (_, _, length) in enumerate(EPISODES)]
    for episode, (source, task, _) in zip(episodes, EPISODES, strict=True):
        episode.source, episode.task = source, task
    return made_store(tmp_path_factory.mktemp("mixture") / "store", contract, episodes)


def shares(store: EpisodeStore, mixture: Mixture) -> dict[tuple[str, str], float]:
    """Share of the moments drawn, by source and task: the exact ones, which many draws come near."""
    windows = FrameWindows(store, range(len(EPISODES)))
    weights = episode_weights(windows.infos, mixture)
    assert weights is not None
    by_row = torch.from_numpy(weights)[windows.episode]
    assert float(by_row.sum()) == pytest.approx(1)
    drawn = windows.episode[draw_weighted(by_row, Draws(0, 0).uniform(20_000))]
    counted = Counter(EPISODES[number][:2] for number in drawn.tolist())
    exact: dict[tuple[str, str], float] = {}
    for info, weight in zip(windows.infos, weights, strict=True):
        exact[info.source, info.task] = exact.get((info.source, info.task), 0.0) + weight * info.length
    for key, share in exact.items():
        assert counted[key] / 20_000 == pytest.approx(share, abs=0.015)
    return exact


def test_shares_by_source(store: EpisodeStore) -> None:
    """Moments count, not episodes: within a source every moment stays as likely as any other."""
    found = shares(store, Mixture(expert=2, policy=1, random=1))
    expected = {("expert", "push"): 0.5, ("policy", "push"): 0.2, ("policy", "press"): 0.05, ("random", "press"): 0.25}
    assert found == pytest.approx(expected)


def test_a_source_without_a_share_is_left_out(store: EpisodeStore) -> None:
    assert shares(store, Mixture(policy=1))["random", "press"] == 0


def test_tasks_in_balance(store: EpisodeStore) -> None:
    found = shares(store, Mixture(balance_tasks=True))
    expected = {("expert", "push"): 4 / 24, ("policy", "push"): 8 / 24, ("policy", "press"): 2 / 24}
    assert found == pytest.approx(expected | {("random", "press"): 10 / 24})


def test_tasks_in_balance_with_shares_that_hold_in_each(store: EpisodeStore) -> None:
    """A source that a task lacks leaves its share to the others there."""
    found = shares(store, Mixture(expert=3, policy=1, random=1, balance_tasks=True))
    expected = {("expert", "push"): 3 / 8, ("policy", "push"): 1 / 8, ("policy", "press"): 1 / 4}
    assert found == pytest.approx(expected | {("random", "press"): 1 / 4})


def test_without_a_mixture_the_batches_are_those_of_before(store: EpisodeStore) -> None:
    windows = FrameWindows(store, range(len(EPISODES)))
    assert episode_weights(windows.infos, Mixture()) is None
    model = world_model(small_contract())
    config = WorldModelTraining(steps=10, rollout_share=0.0)
    _, window = training_batch(model, windows, config, 0, Draws(3, 0), 8)
    current = windows.current[Draws(3, 0).choose(len(windows.current), 8)]
    assert torch.equal(window.target, windows.window(current).target)


def test_draws_follow_the_weights_in_training(store: EpisodeStore) -> None:
    """Also where the last steps of the episodes cannot be drawn, because the model rolls out over them."""
    windows = FrameWindows(store, range(len(EPISODES)))
    weights = episode_weights(windows.infos, Mixture(expert=1))
    assert weights is not None
    config = WorldModelTraining(steps=1, rollout_share=1.0, rollout_steps=2)
    for seed in range(4):  # of other depths
        by_row = torch.from_numpy(weights)[windows.episode]
        _, window = training_batch(world_model(small_contract()), windows, config, 0, Draws(seed, 0), 8, by_row)
        assert bool((window.proprio < 100).all())  # of the first episode, the expert's


def test_a_source_without_a_share_is_not_drawn_for_want_of_longer_episodes(store: EpisodeStore) -> None:
    """Only the random motion's episode has more than 8 steps."""
    windows = FrameWindows(store, range(len(EPISODES)))
    weights = episode_weights(windows.infos, Mixture(expert=1))
    assert weights is not None
    by_row, config = torch.from_numpy(weights)[windows.episode], WorldModelTraining(steps=1)
    with pytest.raises(ValueError, match="no episode that the mixture draws from is longer than 8 steps"):
        training_batch(world_model(small_contract()), windows, config, 0, Draws(0, 0), 8, by_row, depth=8)


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        (Mixture(intervention=1), "asks for intervention, but the episodes are of expert, policy, random"),
        (Mixture(expert=1, balance_tasks=True), "leaves nothing of task 'press'"),
    ],
)
def test_mixtures_that_cannot_be_are_named(store: EpisodeStore, mixture: Mixture, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        episode_weights(store.infos, mixture)
    with pytest.raises(ValueError, match="negative share"):
        Mixture(expert=-1)


def test_a_preset_without_a_word_on_it_keeps_the_data_as_they_are(tmp_path: Path) -> None:
    from world4rl.presets import load_preset

    assert load_preset("tiny").world_model.training.mixture == Mixture()
    asked = load_preset("paper", ["world_model.training.mixture.expert=1"]).world_model.training.mixture
    assert asked == Mixture(expert=1.0)

"""Behaviour cloning imitates what leads to success, and its augmentation moves pictures without changing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_policy import SIZE, small_contract

from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_policy.bc import BcTraining, Demonstrations, random_shift, train_and_save, train_bc
from world4rl_wm.training.metrics_log import MetricsLog, read_metrics

CONTRACT = small_contract()
NETWORK = PolicyConfig(6, SIZE, 3, history=2, width=8, hidden=32)


def imitable(number: int, length: int = 6, success_index: int | None = None) -> Episode:
    """The action is written in the picture: each colour's brightness is one dimension."""
    rng = np.random.default_rng(number)
    colour = rng.integers(40, 216, (length + 1, 3))
    pixels = np.broadcast_to(colour[:, None, None, :], (length + 1, SIZE, SIZE, 3)).astype(np.uint8)
    return Episode(
        images={s.name: pixels for s in CONTRACT.images},
        proprio=np.zeros((length + 1, CONTRACT.proprio_dim), np.float32),
        actions=(colour[:-1] / 127.5 - 1).astype(np.float32),
        action_sources=np.full(length, ActionSource.SCRIPTED, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) + 1,
        task="imitate",
        source="expert",
        outcome=Outcome.FAILURE if success_index is None else Outcome.SUCCESS,
        success_index=success_index,
        contract_hash=CONTRACT.hash,
        episode_id=f"episode-{number}",
    )


def make_store(path: Path, episodes: list[Episode]) -> EpisodeStore:
    with EpisodeStore.create(path, CONTRACT) as store:
        for episode in episodes:
            store.append(episode)
    return store


def make_policy(seed: int = 0) -> GaussianPolicy:
    torch.manual_seed(seed)
    return GaussianPolicy(NETWORK, CONTRACT)


@pytest.mark.parametrize("pixels", [1, 3])
def test_random_shift_moves_each_item_as_a_whole(pixels: int) -> None:
    """Every item is its picture moved by one offset, the same in all its frames and channels."""
    frames = torch.rand(40, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    shifted = random_shift(frames, pixels, torch.Generator().manual_seed(1))
    assert shifted.shape == frames.shape
    rows = torch.arange(8)
    offsets = set()
    for item, original in zip(shifted, frames):
        fitting = [
            (dy, dx)
            for dy in range(-pixels, pixels + 1)
            for dx in range(-pixels, pixels + 1)
            if torch.equal(item, original[..., (rows + dy).clamp(0, 7), :][..., (rows + dx).clamp(0, 7)])
        ]
        assert len(fitting) == 1
        offsets |= set(fitting)
    assert {abs(d) for offset in offsets for d in offset} == set(range(pixels + 1))
    assert {d < 0 for offset in offsets for d in offset} == {True, False}


def test_no_shift_changes_nothing() -> None:
    frames = torch.rand(2, 2, 3, 8, 8)
    assert torch.equal(random_shift(frames, 0, torch.Generator()), frames)


def test_steps_after_success_are_left_out(tmp_path: Path) -> None:
    """Of each episode separately, also when the episodes are not the store's first ones."""
    episodes = [imitable(n, 6, success) for n, success in enumerate((4, None, 6, 1))]
    store = make_store(tmp_path / "store", episodes)
    kept = {0: 4, 1: 6, 2: 6, 3: 1}
    for chosen in ([0, 1, 2, 3], [3, 2], [1, 0]):
        demonstrations = Demonstrations(store, chosen, history=2)
        actions = demonstrations.windows.actions[demonstrations.rows].numpy()
        expected = np.concatenate([episodes[n].actions[: kept[n]] for n in chosen])
        np.testing.assert_array_equal(actions, expected)


def test_samples_pair_each_action_with_the_frames_before_it(tmp_path: Path) -> None:
    demonstrations = Demonstrations(make_store(tmp_path / "store", [imitable(0), imitable(1, 6, 3)]), [0, 1], 2)
    frames, actions = demonstrations.sample(64, torch.Generator().manual_seed(0))
    assert frames.shape == (64, 2, 6, SIZE, SIZE)
    torch.testing.assert_close(frames[:, 1, :3, 0, 0], actions, atol=1e-6, rtol=0)
    assert not torch.equal(frames[:, 0], frames[:, 1])


def test_learns_a_visible_mapping(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [imitable(n) for n in range(40)])
    log = MetricsLog(tmp_path / "metrics.jsonl")
    policy = make_policy()
    config = BcTraining(steps=300, batch_size=32, learning_rate=3e-3)
    assert train_bc(Demonstrations(store, range(40), policy.history), policy, config, progress=False, log=log) is policy
    assert not policy.training
    held_out = make_store(tmp_path / "held out", [imitable(n) for n in (100, 101, 102)])
    frames, actions = Demonstrations(held_out, range(3), 2).sample(64, torch.Generator().manual_seed(0))
    missed = float((policy.act(frames) - actions).abs().mean())
    assert missed < 0.35 * float(actions.abs().mean())  # an untrained policy, which does nothing, misses by all of it
    assert float(policy.std.max()) < NETWORK.initial_std
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert len(losses) == 6 and losses[-1] < losses[0]


def test_the_same_seed_gives_the_same_policy(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [imitable(n) for n in range(3)])
    config = BcTraining(steps=4, batch_size=8)
    names = ("a", "b", "c")
    for name, seed in zip(names, (1, 1, 2)):
        train_and_save(store, range(3), tmp_path / name, NETWORK, config, seed, progress=False)
    a, b, c = (GaussianPolicy.load(tmp_path / name, contract=CONTRACT).mean.weight for name in names)
    assert torch.equal(a, b) and not torch.equal(a, c)

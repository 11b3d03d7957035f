"""Episodes that can be imitated, and a small network to do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from small_policy import SIZE, small_contract

from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig

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

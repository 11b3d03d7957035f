"""Episodes made for a purpose: every pixel, action and proprioception says which episode and step it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from small_models import SIZE

from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.store import EpisodeStore


def made_episode(
    contract: TaskContract,
    number: int,
    length: int,
    success_index: int | None = None,
    outcome: Outcome | None = None,
    frames: np.ndarray | None = None,
    proprio: np.ndarray | None = None,
    actions: np.ndarray | None = None,
) -> Episode:
    """Unless given: pixels 50 * number + step (front; wrist is one more), proprioception and actions alike."""
    steps = np.arange(length + 1)
    if outcome is None:
        outcome = Outcome.FAILURE if success_index is None else Outcome.SUCCESS
    if frames is None:
        frames = np.broadcast_to(
            (50 * number + steps).astype(np.uint8)[:, None, None, None], (length + 1, SIZE, SIZE, 3)
        )
    if proprio is None:
        proprio = np.repeat((100.0 * number + steps)[:, None], contract.proprio_dim, 1)
    if actions is None:
        actions = np.repeat((0.1 * (number + 1) + 0.001 * steps[:-1])[:, None], contract.action_dim, 1)
    images = {s.name: np.ascontiguousarray(frames) + np.uint8(i) for i, s in enumerate(contract.images)}
    return Episode(
        images=images,
        proprio=proprio.astype(np.float32),
        actions=actions.astype(np.float32),
        action_sources=np.full(length, ActionSource.SCRIPTED, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) * 100_000_000 + 1,
        task="made",
        source="expert",
        outcome=outcome,
        success_index=success_index,
        contract_hash=contract.hash,
        episode_id=f"made-{number}",
    )


def made_store(path: Path, contract: TaskContract, episodes: Sequence[Episode]) -> EpisodeStore:
    with EpisodeStore.create(path, contract) as store:
        for episode in episodes:
            store.append(episode)
    return store

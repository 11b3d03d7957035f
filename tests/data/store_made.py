"""A store of moving patterns, with every label that a store can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode, Outcome
from world4rl_data.store import EpisodeStore

SIM = TaskContract.load("franka_sim")


def moving(length: int, height: int, width: int, seed: int) -> np.ndarray:
    """Smooth pictures uint8 (length, H, W, 3) that differ in every frame, as a camera's do."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 80 * np.sin((x * (1 + c) + y + 9 * seed) / 12 + t / 5) for t in range(length) for c in range(3)]
    return np.stack(waves).reshape(length, 3, height, width).transpose(0, 2, 3, 1).astype(np.uint8)


def made_episode(number: int, length: int, outcome: Outcome, contract: TaskContract = SIM) -> Episode:
    rng = np.random.default_rng(number)
    images = {s.name: moving(length + 1, s.height, s.width, number + i) for i, s in enumerate(contract.images)}
    return Episode(
        images=images,
        proprio=rng.normal(size=(length + 1, contract.proprio_dim)).astype(np.float32),
        actions=rng.uniform(-1, 1, (length, contract.action_dim)).astype(np.float32),
        action_sources=rng.integers(1, 4, length).astype(np.uint8),
        stamps=np.int64(10**18) + np.arange(length + 1) * 100_000_000 + rng.integers(0, 10**6, length + 1),
        task=("press", "lift the cube")[number % 2],
        source="intervention",
        outcome=outcome,
        success_index=length - number % 3 if outcome == Outcome.SUCCESS else None,
        contract_hash=contract.hash,
        episode_id=f"made-{number}",
        seed=None if number == 1 else number,
        policy_id="bc" if number else "",
    )


def made_store(path: Path, episodes: int = 5, contract: TaskContract = SIM) -> EpisodeStore:
    outcomes = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNLABELLED]
    with EpisodeStore.create(path, contract) as store:
        for n in range(episodes):
            store.append(made_episode(n, 6 + n, outcomes[n % 3], contract), uri=f"bags/{n}")
    return EpisodeStore.open(path)

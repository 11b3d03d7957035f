"""Untrained models and a small store of the simulated press task: what they dream is noise, by the real code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode, Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.reward.model import RewardConfig, RewardModel

CONTRACT = TaskContract.load("franka_sim_press")
SIZE = CONTRACT.images[0].height


def world_model(seed: int = 0) -> WorldModel:
    torch.manual_seed(seed)
    network = DenoiserConfig(
        CONTRACT.image_channels, SIZE, CONTRACT.action_dim, CONTRACT.proprio_dim, stem=2, widths=(8, 8)
    )
    return WorldModel(WorldModelConfig(network), CONTRACT).eval().requires_grad_(False)


def reward_model() -> RewardModel:
    torch.manual_seed(1)
    return RewardModel(RewardConfig(CONTRACT.image_channels, width=8, threshold=0.9), CONTRACT).eval()


def policy(seed: int = 2, history: int = 2) -> GaussianPolicy:
    torch.manual_seed(seed)
    config = PolicyConfig(CONTRACT.image_channels, SIZE, CONTRACT.action_dim, history=history, width=8, hidden=16)
    return GaussianPolicy(config, CONTRACT).eval()


def press_store(
    path: Path,
    lengths: tuple[int, ...] = (5, 3, 4, 6),
    won: tuple[int, ...] = (),
    source: str = "policy",
    after: int = 0,
    tasks: tuple[str, ...] = ("press_button",),
) -> EpisodeStore:
    """Episodes of random pixels; those of the numbers `won` succeed `after` frames before their last one. They are of
    the `tasks` in turn."""
    with EpisodeStore.create(path, CONTRACT) as store:
        for number, length in enumerate(lengths):
            rng = np.random.default_rng(number)
            shapes = {s.name: (length + 1, s.height, s.width, 3) for s in CONTRACT.images}
            store.append(
                Episode(
                    images={name: rng.integers(0, 256, shape, dtype=np.uint8) for name, shape in shapes.items()},
                    proprio=rng.normal(size=(length + 1, CONTRACT.proprio_dim)).astype(np.float32),
                    actions=rng.uniform(-1, 1, (length, CONTRACT.action_dim)).astype(np.float32),
                    action_sources=np.full(length, 3, np.uint8),
                    stamps=np.arange(length + 1, dtype=np.int64) * 100_000_000,
                    task=tasks[number % len(tasks)],
                    source=source,
                    outcome=Outcome.SUCCESS if number in won else Outcome.FAILURE,
                    success_index=length - after if number in won else None,
                    contract_hash=CONTRACT.hash,
                    episode_id=f"{source}-{number}" if path.name != "check" else f"check-{number}",
                )
            )
    return store


def press_run(path: Path, store: bool = True) -> Path:
    """A folder such as `world4rl demo` leaves, as far as dreams need it; without `store`, the models alone."""
    if store:
        press_store(path / "stores" / "check")
    world_model().save(path / "checkpoints" / "world_model_a")
    world_model(5).save(path / "checkpoints" / "world_model_b")
    reward_model().save(path / "checkpoints" / "reward_a")
    policy().save(path / "checkpoints" / "filtered_bc")
    return path

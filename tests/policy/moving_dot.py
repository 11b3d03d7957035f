"""A world that is learned in seconds: actions move a bright dot over a still background, two cameras look at it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from small_policy import SIZE, small_contract

from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.observation import Observation
from world4rl_data.store import EpisodeStore
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.training.train_state_model import StateTraining
from world4rl_wm.training.train_world_model import WorldModelTraining, train_world_model

CONTRACT = small_contract()
PERIOD_NS = round(CONTRACT.period_s * 1e9)
BACKGROUND = np.random.default_rng(0).integers(40, 90, (2, SIZE, SIZE, 3))
STEP = 2.5  # pixels that an action of 1 moves the dot


def picture(camera: int, where: np.ndarray) -> np.ndarray:
    """uint8 (16, 16, 3); the first camera sees x and y, the second z and y."""
    x, y = where[2 * camera], where[1]
    rows, columns = np.mgrid[:SIZE, :SIZE]
    dot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4.0)[..., None]
    return (BACKGROUND[camera] * (1 - dot) + 250 * dot).astype(np.uint8)


def episode(number: int, length: int = 20) -> Episode:
    """The dot wanders about; proprioception says where it is."""
    rng = np.random.default_rng(1000 + number)
    where, actions = [rng.uniform(3, SIZE - 4, 3)], []
    wish = rng.uniform(-1, 1, 3)
    for _ in range(length):
        wish = np.clip(0.8 * wish + 0.6 * rng.normal(size=3), -1, 1)
        following = np.clip(where[-1] + STEP * wish, 2, SIZE - 3)
        actions.append((following - where[-1]) / STEP)
        where.append(following)
    return Episode(
        images={s.name: np.stack([picture(i, w) for w in where]) for i, s in enumerate(CONTRACT.images)},
        proprio=np.array(where, np.float32),
        actions=np.array(actions, np.float32),
        action_sources=np.full(length, ActionSource.POLICY, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) * PERIOD_NS + 1,
        task="dot",
        source="policy",
        outcome=Outcome.FAILURE,
        success_index=None,
        contract_hash=CONTRACT.hash,
        episode_id=f"dot-{number}",
    )


def store(path: Path, numbers: range) -> EpisodeStore:
    with EpisodeStore.create(path, CONTRACT) as made:
        for number in numbers:
            made.append(episode(number))
    return made


def trained_world_model(folder: Path) -> Path:
    """A checkpoint that has learned this world from 30 episodes."""
    network = DenoiserConfig(6, SIZE, 3, proprio_dim=3, stem=2, widths=(16, 32))
    config = WorldModelConfig(network)
    training = WorldModelTraining(
        steps=200,
        batch_size=16,
        learning_rate=3e-3,
        warm_up=20,
        rollout_share=0.0,
        state=StateTraining(steps=300, batch_size=32, noise=0.05),
    )
    data = store(folder / "training", range(30))
    return train_world_model(data, range(len(data)), config, folder / "world_model", training, progress=False)


def observations(made: Episode) -> list[Observation]:
    """What a policy would have been shown."""
    return [
        Observation(
            {name: pictures[i] for name, pictures in made.images.items()},
            made.proprio[i],
            int(made.stamps[i]),
            dict.fromkeys(made.images, int(made.stamps[i])),
        )
        for i in range(len(made) + 1)
    ]


def load(path: Path) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel.load(path)

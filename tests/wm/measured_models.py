"""A world whose every frame follows exactly from the actions, and models that know it, ignore it or exaggerate it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from made_episodes import made_episode, made_store
from small_models import SIZE
from torch import Tensor

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode, Outcome
from world4rl_data.store import EpisodeStore

STEP = 60
"""Levels of 255 by which an action of 1 in the first dimension brightens the left half of every picture."""


def world_episode(
    contract: TaskContract, number: int, actions: list[float], success_index: int | None = None, seed: int | None = None
) -> Episode:
    """Level 100 at first; the right half never changes."""
    levels = 100 + np.round(STEP * np.concatenate([[0.0], np.cumsum(actions)]))
    frames = np.full((len(levels), SIZE, SIZE, 3), 100, np.uint8)
    frames[:, :, : SIZE // 2] = levels[:, None, None, None]
    steps = np.zeros((len(actions), contract.action_dim), np.float32)
    steps[:, 0] = actions
    outcome = Outcome.FAILURE if success_index is None else Outcome.SUCCESS
    episode = made_episode(contract, number, len(actions), success_index, outcome, frames, actions=steps)
    episode.images = {name: np.ascontiguousarray(frames) for name in episode.images}
    episode.source, episode.seed = "policy", seed
    return episode


def world_store(path: Path, contract: TaskContract, actions: list[list[float]]) -> EpisodeStore:
    return made_store(path, contract, [world_episode(contract, i, a) for i, a in enumerate(actions)])


class WorldOf:
    """Predicts `gain` times the change that really follows: 1 is the truth, 0 ignores actions."""

    history = 4
    state_model = None
    device = torch.device("cpu")

    def __init__(self, contract: TaskContract, gain: float = 1.0):
        self.config = SimpleNamespace(denoiser=SimpleNamespace(action_dim=contract.action_dim))
        self.contract, self.gain = contract, gain

    def task_vectors(self, tasks: list[str]) -> None:
        return None

    def estimate_proprio(self, context: Tensor) -> None:
        return None

    def step(self, context: Tensor, actions: Tensor, *_: object, **__: object) -> tuple[Tensor, None]:
        frame = context[:, -1].clone()
        change = self.gain * STEP / 127.5 * actions[:, -1, 0]
        frame[..., : SIZE // 2] += change[:, None, None, None]
        return frame.clamp(-1, 1), None

"""Rivals that predict the change of the picture: this project's world model with any backbone, and its regressor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from rivals_parts.budget import SCHEDULE, Budget
from rivals_parts.rival import Trained, parameters
from torch import Tensor

from world4rl_data.contract import TaskContract
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model import edm
from world4rl_wm.model.frames import FrameWindows, Window, to_uint8
from world4rl_wm.model.state_model import StateModel
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.state import TrainingState
from world4rl_wm.training.step import TrainingStep, WorldModelTraining
from world4rl_wm.training.train_state_model import StateTraining, train_state_model


class Regressor(WorldModel):
    """The same network and conditions, asked once for the change itself: no noise goes in, none is taken out."""

    def loss(self, network: edm.Network, x0: Tensor, draws: Draws, weight: Tensor | None) -> Tensor:
        error = (self.sample(network, x0) - x0) ** 2
        return (error if weight is None else error * weight).mean()

    def sample(self, network: edm.Network, noise: Tensor) -> Tensor:
        return network(torch.zeros_like(noise), noise.new_zeros(len(noise)))


def state_model(
    config: WorldModelConfig, contract: TaskContract, windows: FrameWindows, training: StateTraining, seed: int
) -> tuple[dict[str, Tensor], float]:
    """Weights of the state model that all world models of a seed share, and the seconds of CPU that it took."""
    torch.manual_seed(seed)
    d, start = config.denoiser, time.process_time()
    model = StateModel(d.image_channels, d.image_size, d.proprio_dim, d.action_dim, d.history)
    train_state_model(model, windows, training, seed, progress=False)
    return model.state_dict(), time.process_time() - start


class TrainedWorldModel:
    """A `WorldModel` or `Regressor` trained until its budget is spent; the state model's seconds are part of it."""

    def __init__(
        self,
        model: WorldModel,
        windows: FrameWindows,
        training: WorldModelTraining,
        shared: tuple[dict[str, Tensor], float],
        seconds: float,
        seed: int,
    ) -> None:
        self.model = model
        weights, spent = shared
        if model.state_model is not None:
            model.state_model.load_state_dict(weights)
            model.state_model.requires_grad_(False)
        warm_up = round(SCHEDULE * training.warm_up / training.steps)
        step = TrainingStep(model, windows, replace(training, steps=SCHEDULE, warm_up=warm_up), seed)
        step.prepare()
        state = TrainingState(model, step.optimizer)
        wall, budget = time.monotonic(), Budget(seconds, spent)
        while not budget.over:
            step.take(budget.step)
            state.step += 1
            state.update_average(training.ema_decay)
        self.trained = Trained(parameters(model), state.step, budget.spent, time.monotonic() - wall)
        model.load_state_dict(state.average or {})
        model.eval().requires_grad_(False)

    @torch.no_grad()
    def dream(self, seen: Window, actions: Tensor, seed: int, tasks: Sequence[str]) -> Tensor:
        dream = Dream(self.model, seen.context, seen.actions[:, :-1], seed, seen.proprio, tasks)
        return torch.stack([to_uint8(dream.step(action)) for action in actions.unbind(1)], 1)

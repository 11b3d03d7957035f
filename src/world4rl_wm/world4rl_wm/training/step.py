"""One step of the world model's training: what is shown, the loss, and the optimiser, on one process or several."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor

from world4rl_wm.model.frames import FrameWindows, Window
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.precision import mixed_precision
from world4rl_wm.training.devices import process_state
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.memory import keep_freed_memory
from world4rl_wm.training.mixture import Mixture, draw_weighted, episode_weights
from world4rl_wm.training.train_state_model import StateTraining


@dataclass(frozen=True)
class WorldModelTraining:
    """Optimisation of the world model.

    `context_noise` is the largest standard deviation of the noise on the history. In the last `rollout_share` of the
    steps the history's newest frames are the model's own predictions, 0 to `rollout_steps` deep, so that it meets the
    errors that it will make when it dreams. `moving_weight` stresses pixels that change. `batch_size` is that of all
    processes together, and of all `accumulation` pieces of a step; `compile` runs the network through torch.compile.
    `mixture` says how often which episodes are drawn.
    """

    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 1e-3
    warm_up: int = 100
    weight_decay: float = 1e-2
    ema_decay: float = 0.99
    context_noise: float = 0.05
    moving_weight: float = 4.0
    rollout_share: float = 0.15
    rollout_steps: int = 3
    save_every: int = 100
    accumulation: int = 1
    compile: bool = False
    mixture: Mixture = field(default_factory=Mixture)
    state: StateTraining = field(default_factory=StateTraining)


def learning_rate_factor(step: int, config: WorldModelTraining) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    progress = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(progress, 1.0)))


def own_history(
    model: WorldModel, windows: FrameWindows, current: Tensor, depth: int, draws: Draws, first: Tensor | None
) -> Tensor:
    """The past ``(B, T, C, H, W)`` that the model has dreamed for itself `depth` steps after `current`."""
    start = windows.window(current, model.device, first)
    shown, proprio = start.context, start.proprio
    task = None if start.task is None else model.task_table.vectors(start.task)
    model.eval()
    for ahead in range(depth):
        actions = windows.actions[windows.past(current + ahead)].to(model.device)
        noise = draws.normal(*shown[:, -1].shape)
        frame, following = model.step(shown, actions, proprio, noise=noise, task=task, first=start.first)
        shown = torch.cat([shown[:, 1:], frame.unsqueeze(1)], dim=1)
        proprio = proprio if following is None else following
    model.train()
    return shown


def earlier(began: Tensor, current: Tensor, draws: Draws) -> Tensor:
    """Rows of the first frames to show, ``(B,)``: the episode's in every other draw, else any since, up to `current`.

    For dreams begin where episodes do, and anywhere in them.
    """
    half, where = draws.uniform(len(began), 2).cpu().unbind(1)
    return began + torch.where(half < 0.5, 0.0, where * (current - began + 1)).long()


def training_batch(
    model: WorldModel,
    windows: FrameWindows,
    config: WorldModelTraining,
    step: int,
    draws: Draws,
    rows: int,
    weights: Tensor | None = None,
    depth: int | None = None,
) -> tuple[Tensor, Window]:
    """Draw `rows` of a step's batch: the past that is shown, and the true window.

    `weights` ``(M,)``: how likely each of the windows' `current` rows is drawn; None: all alike. `depth`: of the past
    that is dreamed; None: as it is this step's turn.
    """
    if depth is None:
        rolls_out = step >= config.steps * (1 - config.rollout_share)
        depth = draws.choose_one(config.rollout_steps + 1) if rolls_out else 0
    long_enough, eligible = windows.long_enough(depth)
    shares = None if weights is None else weights[long_enough]
    if not (len(eligible) if shares is None else float(shares.sum())):
        drawn = "" if shares is None else " that the mixture draws from"
        raise ValueError(f"no episode{drawn} is longer than {depth} steps: lower rollout_steps")
    if shares is None:
        chosen = draws.choose(len(eligible), rows).cpu()
    else:
        chosen = draw_weighted(shares, draws.uniform(rows).cpu())
    current = eligible[chosen]
    first = earlier(windows.began[long_enough][chosen], current, draws) if model.config.denoiser.composed else None
    window = windows.window(current + depth, model.device, first)
    shown = own_history(model, windows, current, depth, draws, first) if depth else window.context
    level = draws.uniform(rows, 1, 1, 1, 1) * config.context_noise
    return shown + level * draws.normal(*shown.shape), window


class TrainingStep:
    """One optimisation step of the world model, on any number of processes and pieces of accumulation."""

    def __init__(self, model: WorldModel, windows: FrameWindows, config: WorldModelTraining, seed: int) -> None:
        self.model, self.windows, self.config, self.seed = model, windows, config, seed
        weights = episode_weights(windows.infos, config.mixture)
        self._weights = None if weights is None else torch.from_numpy(weights)[windows.episode]
        self.accelerator = accelerator = Accelerator(
            mixed_precision=mixed_precision(process_state().device.type),
            gradient_accumulation_steps=config.accumulation,
        )
        self.parts = accelerator.num_processes * config.accumulation
        if config.batch_size % self.parts:
            raise ValueError(
                f"batch_size {config.batch_size} cannot be dealt out to {accelerator.num_processes} processes with "
                f"accumulation {config.accumulation}: make it a multiple of {self.parts}"
            )
        model.to(accelerator.device)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def prepare(self) -> None:
        """To be called once, after weights and optimiser have been restored."""
        if self.accelerator.device.type == "cpu":
            keep_freed_memory()
        if self.config.compile:
            self.model.denoiser.compile()
        self._wrapped, self._optimizer = self.accelerator.prepare(self.model, self.optimizer)
        self.model.train()

    @property
    def learning_rate(self) -> float:
        """That of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def take(self, step: int, depth: int | None = None) -> Tensor:
        """Step number `step`, from 0; the loss of this process's share of the batch. `depth` as in `training_batch`."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * learning_rate_factor(step, self.config)
        losses = []
        for piece in range(self.config.accumulation):
            part = self.accelerator.process_index * self.config.accumulation + piece
            draws = Draws(self.seed, step, self.model.device, part, self.parts)
            rows = self.config.batch_size // self.parts
            batch = self.model, self.windows, self.config, step, draws, rows, self._weights, depth
            shown, window = training_batch(*batch)
            with self.accelerator.accumulate(self._wrapped):
                loss = self._wrapped(shown, window, draws, self.config.moving_weight)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
                self._optimizer.step()
                self._optimizer.zero_grad()
            losses.append(loss.detach())
        return torch.stack(losses).mean()

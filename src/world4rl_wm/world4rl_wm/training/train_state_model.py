"""Training of the state model on the windows that the world model learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from world4rl_wm.model.frames import FrameWindows, to_float
from world4rl_wm.model.state_model import StateModel
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.monitor import TrainingMonitor
from world4rl_wm.training.processes import main_process
from world4rl_wm.training.state import STATE, TrainingState, one_cycle

SAVE_EVERY = 100
"""Steps between two saves of the training's state, each with a line of metrics."""
_BETA = 0.1  # of a typical change: where Huber's loss turns from squared to absolute


@dataclass(frozen=True)
class StateTraining:
    """Optimisation of the state model; `noise` is the largest standard deviation of noise on its frames.

    It predicts `unroll` steps in a row from its own predictions, so that it learns not to drift; `batch_size` counts
    frames. Gradients longer than `max_grad_norm` are shortened.
    """

    steps: int = 600
    batch_size: int = 128
    learning_rate: float = 2e-3
    noise: float = 0.1
    unroll: int = 1
    max_grad_norm: float | None = None


def train_state_model(
    model: StateModel,
    windows: FrameWindows,
    config: StateTraining,
    seed: int = 0,
    progress: bool = True,
    work: Path | None = None,
    fingerprint: str = "",
) -> None:
    """Fit scales, linear model and networks, in units of their own scale; leaves the model frozen.

    The estimate by squared error, the prediction by Huber's: squared, the rare step at which the arm gets caught and
    misses by centimetres would outweigh all steps at which a millimetre counts.

    With a folder `work` the training saves its state there, with its metrics, and goes on from a state of the same
    `fingerprint`. Of several processes each trains the same model, and the main one writes.
    """
    _fit(model, windows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    state = TrainingState(model, optimizer)
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        state.restore(work / STATE, fingerprint)
    monitor = None if work is None or not main_process() else TrainingMonitor(work, state.step, "state_model")
    schedule = one_cycle(optimizer, config.learning_rate, config.steps, state.step)
    bar = tqdm(total=config.steps, initial=state.step, desc="state model", disable=not progress, unit="step")
    while state.step < config.steps:
        loss = state_step(model, windows, config, optimizer, Draws(seed, state.step, model.mean.device))
        schedule.step()
        state.step += 1
        bar.update()
        if monitor is not None and work is not None and (state.step % SAVE_EVERY == 0 or state.step == config.steps):
            monitor.loss(state.step, float(loss), schedule.get_last_lr()[0])
            state.save(work / STATE, fingerprint)
    bar.close()
    if monitor is not None:
        monitor.close()
    model.requires_grad_(False)
    model.zero_grad()  # else the next optimizer would take the last gradients for its own


def state_step(
    model: StateModel, windows: FrameWindows, config: StateTraining, optimizer: torch.optim.Optimizer, draws: Draws
) -> Tensor:
    """One step of the optimiser; its loss."""
    loss = _loss(model, windows, config, draws)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if config.max_grad_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
    optimizer.step()
    return loss.detach()


def _fit(model: StateModel, windows: FrameWindows) -> None:
    now = windows.current
    values = (windows.proprio[windows.past(now, 2)], windows.actions[windows.past(now)], windows.proprio[now + 1])
    model.fit(*(value.to(model.mean.device) for value in values))


def _loss(model: StateModel, windows: FrameWindows, config: StateTraining, draws: Draws) -> Tensor:
    device = model.mean.device
    unroll = min(config.unroll, int(windows.remaining.max()))
    _, eligible = windows.long_enough(unroll - 1)
    rows = max(1, config.batch_size // unroll)
    start = eligible[draws.choose(len(eligible), rows).cpu()]
    times = start.unsqueeze(1) + torch.arange(-1, unroll + 1)  # from the step before to the step after
    frames = to_float(windows.frames[times[:, 1:-1]].to(device))
    measured = windows.proprio[times].to(device)
    level = draws.uniform(rows, 1, 1, 1, 1) * config.noise
    frames = frames + level * draws.normal(*frames.shape)
    seen = model.encoder(frames.flatten(0, 1)).unflatten(0, (rows, unroll))
    estimate = (model.read(seen) - measured[:, 1:-1]) / model.std
    proprio, predicted = measured[:, :2], []
    for ahead in range(unroll):
        actions = windows.actions[windows.past(start + ahead)].to(device)
        following = model.advance(seen[:, ahead], proprio, actions)
        proprio = torch.stack([proprio[:, -1], following], 1)
        predicted.append(following)
    prediction = (torch.stack(predicted, 1) - measured[:, 2:]) / model.change_std
    missed = functional.smooth_l1_loss(prediction, torch.zeros_like(prediction), beta=_BETA)
    return estimate.square().mean() + missed

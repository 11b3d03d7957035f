"""What a training of the world model will cost on this machine, found by taking a few of its real steps."""

from __future__ import annotations

import copy
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from world4rl_data.store import EpisodeStore
from world4rl_wm.model.denoiser import Denoiser
from world4rl_wm.model.frames import FrameWindows
from world4rl_wm.model.plain_layers import plain_layers
from world4rl_wm.model.state_model import StateModel
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.precision import mixed_precision
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.step import TrainingStep, WorldModelTraining
from world4rl_wm.training.train_state_model import StateTraining, state_step

_MEASURED = 4  # steps of each kind, after one to warm up


@dataclass(frozen=True)
class TrainingCost:
    """Size and cost; `gflops_per_frame` is for one evaluation of the denoiser [1e9 floating-point operations]."""

    parameters: int
    gflops_per_frame: float
    seconds_per_step: float
    state_model_hours: float  # for what is learned first; 0 where there is no state model
    hours: float  # for all steps of both
    peak_memory_mb: float  # of the device on a GPU, of this process on a CPU
    device: str
    precision: str
    processes: int

    def __str__(self) -> str:
        return "\n".join(
            (
                f"parameters      {self.parameters / 1e6:.2f} million",
                f"computation     {self.gflops_per_frame:.3g} GFLOP for one frame",
                f"device          {self.device}, {self.precision}, processes {self.processes}",
                f"one step        {self.seconds_per_step:.3g} s",
                f"peak memory     {self.peak_memory_mb:.0f} MB",
                f"state model     {_duration(self.state_model_hours)}",
                f"all steps       {_duration(self.hours)}",
            )
        )


@torch.no_grad()
def denoiser_gflops(denoiser: Denoiser) -> float:
    """Computation of one forward pass for one frame [1e9 floating-point operations]."""
    config, device = denoiser.config, next(denoiser.parameters()).device
    frame = torch.zeros(1, config.image_channels, config.image_size, config.image_size, device=device)
    context = frame.unsqueeze(1).expand(-1, config.history, -1, -1, -1)
    actions = torch.zeros(1, config.history, config.action_dim, device=device)
    proprio = torch.zeros(1, 2, config.proprio_dim, device=device) if config.proprio_dim else None
    with plain_layers(), FlopCounterMode(display=False) as counter:
        first = frame if config.composed else None
        denoiser(frame, torch.zeros(1, device=device), context, actions, proprio, first=first)
    return counter.get_total_flops() / 1e9


def training_cost(
    store: EpisodeStore, episodes: Sequence[int], model_config: WorldModelConfig, config: WorldModelTraining
) -> TrainingCost:
    """Take a few steps on the store's data, write nothing, and extrapolate to `config.steps`.

    Raises:
        ValueError: the training itself would fail at its start (no episodes, batch size that cannot be dealt out).
    """
    model_config = model_config.told(store.infos[episode].task for episode in episodes)
    windows = FrameWindows(store, episodes, model_config.denoiser.history, model_config.tasks)
    model = WorldModel(model_config, store.contract)
    training = TrainingStep(model, windows, config, seed=0)
    state_model_hours = 0.0
    if model.state_model is not None:
        state_model_hours = (
            _state_seconds(copy.deepcopy(model.state_model), windows, config.state) * config.state.steps / 3600
        )
        model.state_model.requires_grad_(False)
    training.prepare()
    depths = range(config.rollout_steps + 1 if config.rollout_share > 0 else 1)
    by_depth = [_seconds(partial(training.take, 0, depth)) for depth in depths]
    with_rollouts = sum(by_depth) / len(by_depth)  # all depths are equally likely
    seconds = (1 - config.rollout_share) * by_depth[0] + config.rollout_share * with_rollouts
    device = training.accelerator.device
    return TrainingCost(
        parameters=sum(p.numel() for p in model.parameters()),
        gflops_per_frame=denoiser_gflops(model.denoiser),
        seconds_per_step=seconds,
        state_model_hours=state_model_hours,
        hours=state_model_hours + seconds * config.steps / 3600,
        peak_memory_mb=_peak_memory_mb(device),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision="bfloat16" if mixed_precision(device.type) == "bf16" else "float32",
        processes=training.accelerator.num_processes,
    )


def _state_seconds(model: StateModel, windows: FrameWindows, config: StateTraining) -> float:
    """Mean time of a step of the state model, which learns a little."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    draws = Draws(0, 0, model.mean.device)
    return _seconds(partial(state_step, model, windows, config, optimizer, draws))


def _seconds(step: Callable[[], Tensor]) -> float:
    """Mean time of a step, which returns its loss."""
    step()
    started = time.perf_counter()
    for _ in range(_MEASURED):
        float(step())  # reading the loss waits for the device
    return (time.perf_counter() - started) / _MEASURED


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.1f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"

"""Where the arm is and will be: proprioception estimated from a frame and predicted one step ahead.

A dream whose arm drifts by a centimetre tells near misses as hits. Joint sensors know the arm to a fraction of a
millimetre and its motion under an action is simple, so it is modelled apart from the pixels and given to the denoiser.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from world4rl_wm.draws import Draws
from world4rl_wm.frames import FrameWindows


@dataclass(frozen=True)
class StateTraining:
    """Optimisation of the state model; `noise` is the largest standard deviation of noise on its frames."""

    steps: int = 600
    batch_size: int = 128
    learning_rate: float = 2e-3
    noise: float = 0.1


class StateModel(nn.Module):
    """Proprioception ``(B, P)`` in the contract's units.

    `normalise` is fixed from the training data by `fit_scale`. The estimate lets a dream start from pictures alone; the
    prediction also looks at the last frame, because what blocks the arm is seen there.
    """

    def __init__(
        self, image_channels: int, image_size: int, proprio_dim: int, action_dim: int, history: int, width: int = 128
    ):
        super().__init__()
        self.register_buffer("mean", torch.zeros(proprio_dim))
        self.register_buffer("std", torch.ones(proprio_dim))
        self.register_buffer("change_std", torch.ones(proprio_dim))
        cells = (image_size // 8) ** 2
        self.encoder = nn.Sequential(
            nn.Conv2d(image_channels, 48, 4, stride=4),
            nn.SiLU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(64 * cells, width),
            nn.SiLU(),
        )
        self.estimator = nn.Linear(width, proprio_dim)
        self.dynamics = nn.Sequential(
            nn.Linear(width + 2 * proprio_dim + history * action_dim, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, proprio_dim),
        )

    def fit_scale(self, proprio: Tensor, following: Tensor) -> None:
        """Set the scales from measured values ``(N, P)`` and their successors; constant dimensions get a tiny scale."""
        self.mean.copy_(proprio.mean(0))
        self.std.copy_(proprio.std(0).clamp(min=1e-3))
        self.change_std.copy_((following - proprio).std(0).clamp(min=1e-4))

    def normalise(self, proprio: Tensor) -> Tensor:
        return (proprio - self.mean) / self.std

    def estimate(self, frames: Tensor) -> Tensor:
        """``(B, P)`` from frames ``(B, C, H, W)`` in [-1, 1]."""
        return self.mean + self.std * self.estimator(self.encoder(frames))

    def predict(self, frame: Tensor, proprio: Tensor, actions: Tensor) -> Tensor:
        """``(B, P)`` after the last of `actions` ``(B, T, A)``, from the last frame and two values ``(B, 2, P)``."""
        last = proprio[:, -1]
        velocity = (last - proprio[:, 0]) / self.change_std
        known = torch.cat([self.encoder(frame), self.normalise(last), velocity, actions.flatten(1)], dim=1)
        return last + self.change_std * self.dynamics(known)


def train_state_model(
    model: StateModel, windows: FrameWindows, config: StateTraining, seed: int = 0, progress: bool = True
) -> None:
    """Fit estimate and prediction by squared error, each in units of its own scale; leaves the model frozen."""
    model.fit_scale(windows.proprio[windows.current], windows.proprio[windows.current + 1])
    device = model.mean.device
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    one_cycle = torch.optim.lr_scheduler.OneCycleLR
    schedule = one_cycle(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=max(0.1, 2 / config.steps)
    )
    for step in tqdm(range(config.steps), desc="state model", disable=not progress, unit="step"):
        draws = Draws(seed, step, device)
        batch = windows.window(windows.current[draws.choose(len(windows.current), config.batch_size).cpu()], device)
        level = draws.uniform(config.batch_size, 1, 1, 1) * config.noise
        frame = batch.context[:, -1]
        frame = frame + level * draws.normal(*frame.shape)
        estimate = (model.estimate(frame) - batch.proprio[:, -1]) / model.std
        prediction = (model.predict(frame, batch.proprio, batch.actions) - batch.next_proprio) / model.change_std
        loss = estimate.square().mean() + prediction.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    model.requires_grad_(False)

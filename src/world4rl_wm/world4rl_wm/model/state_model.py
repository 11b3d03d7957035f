"""Where the arm is and will be: proprioception estimated from a frame and predicted one step ahead.

A dream whose arm drifts by a centimetre tells near misses as hits. Joint sensors know the arm to a fraction of a
millimetre and its motion under an action is simple, so it is modelled apart from the pixels and given to the denoiser.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
        return self.read(self.encoder(frames))

    def read(self, seen: Tensor) -> Tensor:
        """As `estimate`, from what the encoder sees in the frames, ``(B, width)``."""
        return self.mean + self.std * self.estimator(seen)

    def predict(self, frame: Tensor, proprio: Tensor, actions: Tensor) -> Tensor:
        """``(B, P)`` after the last of `actions` ``(B, T, A)``, from the last frame and two values ``(B, 2, P)``."""
        return self.advance(self.encoder(frame), proprio, actions)

    def advance(self, seen: Tensor, proprio: Tensor, actions: Tensor) -> Tensor:
        """As `predict`, from what the encoder sees in the last frame, ``(B, width)``."""
        last = proprio[:, -1]
        velocity = (last - proprio[:, 0]) / self.change_std
        known = torch.cat([seen, self.normalise(last), velocity, actions.flatten(1)], dim=1)
        return last + self.change_std * self.dynamics(known)

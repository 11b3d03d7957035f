"""Where the arm is and will be: proprioception estimated from a frame and predicted one step ahead.

A dream whose arm drifts by a centimetre tells near misses as hits. Joint sensors know the arm to a fraction of a
millimetre and its motion under an action is simple, so it is modelled apart from the pixels and given to the denoiser:
a linear model for an arm that nothing is in the way of, and a network for what that leaves over.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class StateModel(nn.Module):
    """Proprioception ``(B, P)`` in the contract's units.

    Scales, range and linear model are fixed from the training data by `fit`. The estimate lets a dream start from
    pictures alone; the prediction also looks at the last frame, because what blocks the arm is seen there. It never
    leaves the range of the data by more than a tenth: a model that is fed its own predictions could run away.
    """

    def __init__(
        self, image_channels: int, image_size: int, proprio_dim: int, action_dim: int, history: int, width: int = 128
    ):
        super().__init__()
        self.register_buffer("mean", torch.zeros(proprio_dim))
        self.register_buffer("std", torch.ones(proprio_dim))
        self.register_buffer("change_std", torch.ones(proprio_dim))
        self.register_buffer("low", torch.full((proprio_dim,), -torch.inf))
        self.register_buffer("high", torch.full((proprio_dim,), torch.inf))
        known = 2 * proprio_dim + history * action_dim
        self.register_buffer("linear", torch.zeros(known + 1, proprio_dim))
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
            nn.Linear(width + known, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, proprio_dim),
        )

    def fit(self, proprio: Tensor, actions: Tensor, following: Tensor) -> None:
        """Set scales, range and linear model from measured values ``(N, 2, P)``, actions ``(N, T, A)`` and what
        followed ``(N, P)``; constant dimensions get a tiny scale. The network begins with adding nothing."""
        last = proprio[:, -1]
        low, high = following.min(0).values, following.max(0).values
        self.low.copy_(low - 0.1 * (high - low))
        self.high.copy_(high + 0.1 * (high - low))
        self.mean.copy_(last.mean(0))
        self.std.copy_(last.std(0).clamp(min=1e-3))
        self.change_std.copy_((following - last).std(0).clamp(min=1e-4))
        change = (following - last) / self.change_std
        self.linear.copy_(robust_least_squares(_with_one(self._known(proprio, actions)), change))
        nn.init.zeros_(self.dynamics[-1].weight)
        nn.init.zeros_(self.dynamics[-1].bias)

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
        known = self._known(proprio, actions)
        change = _with_one(known) @ self.linear + self.dynamics(torch.cat([seen, known], dim=1))
        return torch.clamp(proprio[:, -1] + self.change_std * change, self.low, self.high)

    def _known(self, proprio: Tensor, actions: Tensor) -> Tensor:
        """What is known but for the pictures, in units of its own scale, ``(B, 2 P + T A)``."""
        last = proprio[:, -1]
        velocity = (last - proprio[:, 0]) / self.change_std
        return torch.cat([self.normalise(last), velocity, actions.flatten(1)], dim=1)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """A checkpoint from before there was a linear model had none, nor a range."""
        state_dict.setdefault(f"{prefix}linear", torch.zeros_like(self.linear))
        state_dict.setdefault(f"{prefix}low", torch.full_like(self.low, -torch.inf))
        state_dict.setdefault(f"{prefix}high", torch.full_like(self.high, torch.inf))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _with_one(columns: Tensor) -> Tensor:
    return torch.cat([columns, torch.ones_like(columns[:, :1])], dim=1)


def robust_least_squares(x: Tensor, y: Tensor, scale: float = 0.1, ridge: float = 0.1, rounds: int = 15) -> Tensor:
    """``(K, P)`` with ``x @ it`` near most rows of y: x ``(N, K)``, y ``(N, P)``, whose own scale is about 1.

    Iteratively reweighted least squares with Cauchy's weights: a row that is missed by much more than `scale`, an arm
    that met something, hardly counts. `ridge` speaks for zero as that many rows would: it decides only where there are
    fewer rows than columns, or columns that say the same.
    """
    wide_x, wide_y = x.cpu().double(), y.cpu().double()  # not every accelerator has doubles
    weight = torch.ones(len(x), 1, dtype=torch.double)
    zero = ridge * torch.eye(x.shape[1], dtype=torch.double)
    for _ in range(rounds):
        weighted = (weight * wide_x).T
        solution = torch.linalg.solve(weighted @ wide_x + zero, weighted @ wide_y)
        missed = (wide_x @ solution - wide_y).norm(dim=1, keepdim=True)
        weight = 1 / (1 + (missed / scale).square())
    return solution.to(x)

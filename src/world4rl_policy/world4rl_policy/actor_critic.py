"""Gaussian policy pi and value function V, both from images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint import load_checkpoint, save_checkpoint

KIND = "policy"
PATCH = 4


@dataclass(frozen=True)
class PolicyConfig:
    """`history` frames of `image_channels`; the standard deviation stays below `max_std` (the paper's e^0 at most)."""

    image_channels: int
    image_size: int
    action_dim: int
    history: int = 2
    width: int = 48
    hidden: int = 256
    initial_std: float = 0.3
    min_std: float = 0.02
    max_std: float = 1.0


def as_patches(frames: Tensor) -> Tensor:
    """Frames ``(B, T, C, H, W)`` as patches of 4 x 4 pixels, row by row: ``(B, H / 4 * W / 4, T * C * 16)``.

    Policy and value function read both, with one result but for rounding. Cutting takes as long as learning from it.
    """
    return F.pixel_unshuffle(frames.flatten(1, 2), PATCH).flatten(2).transpose(1, 2).contiguous()


class Patches(nn.Conv2d):
    """Maps each patch of 4 x 4 pixels linearly: of pictures ``(B, C, H, W)``, or those of `as_patches`."""

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() == 4:
            return super().forward(input)
        side = math.isqrt(input.shape[1])
        return F.linear(input, self.weight.flatten(1), self.bias).transpose(1, 2).unflatten(2, (side, side))


def image_encoder(config: PolicyConfig) -> nn.Sequential:
    """Patches, a strided convolution and a linear layer: ``(B, history * C, H, W)`` to ``(B, hidden)``.

    Against three strided convolutions it clones as well at a quarter of the time (`width` 48, 2 cores).
    """
    w, cells = config.width, (config.image_size // 8) ** 2
    return nn.Sequential(
        Patches(config.history * config.image_channels, w, PATCH, stride=PATCH),
        nn.ReLU(),
        nn.Conv2d(w, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * cells, config.hidden),
        nn.LayerNorm(config.hidden),
        nn.ReLU(),
    )


def _pictures(frames: Tensor) -> Tensor:
    """History on channels, ``(B, T * C, H, W)``; patches stay as they are."""
    return frames.flatten(1, 2) if frames.dim() == 5 else frames


def in_full(head: nn.Linear, features: Tensor) -> Tensor:
    """The head's output in float32, also within autocast: what is said is compared and summed up."""
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())


class GaussianPolicy(nn.Module):
    """``pi(a | x) = N(mu(x), diag(std)^2)`` with mu in [-1, 1] and a state-independent standard deviation."""

    def __init__(self, config: PolicyConfig, contract: TaskContract):
        super().__init__()
        self.config = config
        self.contract = contract
        self.encoder = image_encoder(config)
        self.mean = nn.Linear(config.hidden, config.action_dim)
        nn.init.orthogonal_(self.mean.weight, 0.01)
        nn.init.zeros_(self.mean.bias)
        self.log_std = nn.Parameter(torch.full((config.action_dim,), config.initial_std).log())

    @property
    def history(self) -> int:
        return self.config.history

    @property
    def std(self) -> Tensor:
        """``(A,)`` standard deviation within the configured bounds."""
        return self.log_std.exp().clamp(self.config.min_std, self.config.max_std)

    def distribution(self, frames: Tensor, std: Tensor | None = None) -> Normal:
        """Action distribution for frames ``(B, history, C, H, W)`` in [-1, 1], or for their patches.

        `std` overrides the policy's own.
        """
        mu = self._mu(frames)
        return Normal(mu, (self.std if std is None else std).expand_as(mu))

    def _mu(self, frames: Tensor) -> Tensor:
        return torch.tanh(in_full(self.mean, self.encoder(_pictures(frames))))

    def patches(self, frames: Tensor) -> Tensor:
        """`as_patches`, where this policy's encoder begins with them; else the frames."""
        return as_patches(frames) if isinstance(self.encoder[0], Patches) else frames

    @torch.no_grad()
    def act(self, frames: Tensor, deterministic: bool = True) -> Tensor:
        """``(B, A)`` actions in [-1, 1]."""
        # the mean alone where it is enough: making a distribution checks its numbers, which counts on an arm
        action = self._mu(frames) if deterministic else self.distribution(frames).sample()
        return action.clamp(-1, 1)

    def save(self, path: Path | str, **meta: Any) -> Path:
        """Write a checkpoint folder; `meta` goes to `save_checkpoint`."""
        return save_checkpoint(path, KIND, self.state_dict(), asdict(self.config), self.contract, **meta)

    @classmethod
    def load(
        cls, path: Path | str, device: str | torch.device = "cpu", contract: TaskContract | None = None
    ) -> GaussianPolicy:
        """Read a checkpoint folder in evaluation mode."""
        checkpoint = load_checkpoint(path, KIND, contract)
        return checkpoint.into(lambda config, own: cls(PolicyConfig(**config), own), device)


class ValueFunction(nn.Module):
    """``V(x)``: expected discounted success, from its own image encoder."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.encoder = image_encoder(config)
        self.head = nn.Linear(config.hidden, 1)
        nn.init.zeros_(self.head.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """``(B,)`` values for frames ``(B, history, C, H, W)``, or for their patches."""
        return in_full(self.head, self.encoder(_pictures(frames))).squeeze(-1)

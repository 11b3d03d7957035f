"""Gaussian policy pi and value function V, both from images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint import load_checkpoint, save_checkpoint

KIND = "policy"


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


def image_encoder(config: PolicyConfig) -> nn.Sequential:
    """Patches, a strided convolution and a linear layer: ``(B, history * C, H, W)`` to ``(B, hidden)``.

    Against three strided convolutions it clones as well at a quarter of the time (`width` 48, 2 cores).
    """
    w, cells = config.width, (config.image_size // 8) ** 2
    return nn.Sequential(
        nn.Conv2d(config.history * config.image_channels, w, 4, stride=4),
        nn.ReLU(),
        nn.Conv2d(w, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * cells, config.hidden),
        nn.LayerNorm(config.hidden),
        nn.ReLU(),
    )


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
        """Action distribution for frames ``(B, history, C, H, W)`` in [-1, 1]; `std` overrides the policy's own."""
        mu = self._mu(frames)
        return Normal(mu, (self.std if std is None else std).expand_as(mu))

    def _mu(self, frames: Tensor) -> Tensor:
        return torch.tanh(self.mean(self.encoder(frames.flatten(1, 2))))

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
        """``(B,)`` values for frames ``(B, history, C, H, W)``."""
        return self.head(self.encoder(frames.flatten(1, 2))).squeeze(-1)

"""Reward model C of the paper: the probability that a frame shows the task done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint import load_checkpoint, save_checkpoint

KIND = "reward_model"


@dataclass(frozen=True)
class RewardConfig:
    """A small convolutional classifier; `threshold` turns its probability into the paper's reward in {0, 1}."""

    image_channels: int
    width: int = 32
    dropout: float = 0.2
    threshold: float = 0.9


class RewardModel(nn.Module):
    """Binary classifier of single frames ``(B, C, H, W)`` in [-1, 1]."""

    def __init__(self, config: RewardConfig, contract: TaskContract):
        super().__init__()
        self.config = config
        self.contract = contract
        w = config.width
        self.net = nn.Sequential(
            nn.Conv2d(config.image_channels, w, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(w, 2 * w, 3, stride=2, padding=1),
            nn.GroupNorm(8, 2 * w),
            nn.SiLU(),
            nn.Conv2d(2 * w, 2 * w, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.LazyLinear(128),
            nn.SiLU(),
            nn.Linear(128, 1),
        )
        size = contract.images[0].height
        self.net(torch.zeros(1, config.image_channels, size, size))  # materialises the lazy layer

    @property
    def threshold(self) -> float:
        return self.config.threshold

    def logits(self, frames: Tensor) -> Tensor:
        """``(B,)`` log-odds of success."""
        return self.net(frames).squeeze(-1)

    @torch.no_grad()
    def probability(self, frames: Tensor) -> Tensor:
        """``(B,)`` probability of success in [0, 1]."""
        return torch.sigmoid(self.logits(frames))

    def save(self, path: Path | str, **meta: Any) -> Path:
        return save_checkpoint(path, KIND, self.state_dict(), asdict(self.config), self.contract, **meta)

    @classmethod
    def load(
        cls, path: Path | str, device: str | torch.device = "cpu", contract: TaskContract | None = None
    ) -> RewardModel:
        """Read a checkpoint folder for inference: frozen and in evaluation mode."""
        checkpoint = load_checkpoint(path, KIND, contract)
        return checkpoint.into(lambda config, own: cls(RewardConfig(**config), own), device).requires_grad_(False)

"""The networks that a reward model can be made of: a small one for CPU cores, and the paper's ResNet-18."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from world4rl_wm.reward.resnet import ResNet18


@dataclass(frozen=True)
class RewardNetwork:
    """Which `backbone` reads the frames; `width` and `dropout` are those of the small one.

    With `progress` a second one of the same sort tells how far the task is.
    """

    image_channels: int
    backbone: Literal["small", "resnet18"] = "small"
    width: int = 32
    dropout: float = 0.2
    progress: bool = False


def reward_network(config: RewardNetwork, image_size: int, dropout: float) -> nn.Module:
    """Frames ``(B, C, image_size, image_size)`` in [-1, 1] to ``(B, 1)``.

    Raises:
        ValueError: a backbone that does not exist.
    """
    if config.backbone == "resnet18":
        return ResNet18(config.image_channels)
    if config.backbone == "small":
        return _small(config.image_channels, config.width, image_size, dropout)
    raise ValueError(f"a reward backbone is small or resnet18, not {config.backbone!r}")


def _small(image_channels: int, width: int, image_size: int, dropout: float) -> nn.Module:
    w = width
    network = nn.Sequential(
        nn.Conv2d(image_channels, w, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(w, 2 * w, 3, stride=2, padding=1),
        nn.GroupNorm(8, 2 * w),
        nn.SiLU(),
        nn.Conv2d(2 * w, 2 * w, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.LazyLinear(128),
        nn.SiLU(),
        nn.Linear(128, 1),
    )
    network(torch.zeros(1, image_channels, image_size, image_size))  # materialises the lazy layer
    return network

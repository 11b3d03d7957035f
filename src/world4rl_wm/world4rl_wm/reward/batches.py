"""What the reward model is shown in a step: frames of both classes in fixed shares, changed as dreams change them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from world4rl_wm.model.frames import to_float
from world4rl_wm.reward.data import LabelledFrames


@dataclass(frozen=True)
class RewardTraining:
    """Each batch holds `positives` successful frames and `negatives` others; frames are shifted, noised and blurred.

    `progress_batch` frames teach the progress, where the network tells it. `pretrained` is a safetensors file with
    ImageNet weights that a ResNet-18 starts from, None for random ones.
    """

    steps: int = 600
    positives: int = 32
    negatives: int = 96
    progress_batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    shift: int = 1
    noise: float = 0.05
    pretrained: str | None = None
    save_every: int = 100


def augment(frames: Tensor, config: RewardTraining, generator: torch.Generator) -> Tensor:
    """Random shift, noise and blur: a dream is shifted, noisy and blurred against the truth."""
    pad = config.shift
    size = frames.shape[-1]
    padded = F.pad(frames, (pad,) * 4, mode="replicate")
    dx, dy = (int(torch.randint(2 * pad + 1, (), generator=generator)) for _ in range(2))
    frames = padded[..., dy : dy + size, dx : dx + size]
    blurred = F.avg_pool2d(F.pad(frames, (1,) * 4, mode="replicate"), 3, stride=1)
    mix = torch.rand(len(frames), 1, 1, 1, generator=generator) * 0.7
    frames = frames * (1 - mix) + blurred * mix
    level = torch.rand(len(frames), 1, 1, 1, generator=generator) * config.noise
    return frames + level * torch.randn(frames.shape, generator=generator)


@dataclass
class RewardBatches:
    """Draws the frames of a step; verdicts and progress have random numbers of their own."""

    data: LabelledFrames
    config: RewardTraining
    seed: int
    verdict: torch.Generator = field(init=False)
    progress: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.verdict, self.progress = (torch.Generator().manual_seed(self.seed + i) for i in range(2))
        self._positive, self._negative = (rows.nonzero().squeeze(1) for rows in (self.data.success, ~self.data.success))
        self._on_the_way = self.data.progress.isfinite().nonzero().squeeze(1)

    def of_both_classes(self) -> tuple[Tensor, Tensor]:
        """Frames ``(B, C, H, W)`` in [-1, 1], the successful ones first, and their labels ``(B,)``."""
        counts = ((self._positive, self.config.positives), (self._negative, self.config.negatives))
        rows = torch.cat([self._some(among, count, self.verdict) for among, count in counts])
        labels = torch.cat([torch.ones(self.config.positives), torch.zeros(self.config.negatives)])
        return augment(to_float(self.data.frames[rows]), self.config, self.verdict), labels

    def on_the_way(self) -> tuple[Tensor, Tensor]:
        """Frames ``(B, C, H, W)`` in [-1, 1] and their progress ``(B,)``."""
        rows = self._some(self._on_the_way, self.config.progress_batch, self.progress)
        return augment(to_float(self.data.frames[rows]), self.config, self.progress), self.data.progress[rows]

    @staticmethod
    def _some(among: Tensor, count: int, generator: torch.Generator) -> Tensor:
        return among[torch.randint(len(among), (count,), generator=generator)]

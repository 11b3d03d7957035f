"""FID and FVD: how far sets of dreamed pictures or clips are from the real ones, in a network's features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from world4rl_wm.measures.dreams import DreamBatch, Starts
from world4rl_wm.measures.frame_errors import streams
from world4rl_wm.measures.perceptual import Features
from world4rl_wm.measures.weights import NotComputed

CLIP_STEPS = 15
"""Steps of a clip for FVD: with the real frame before them, the usual 16 frames."""
PART = 16
"""Pictures or clips that a network looks at together: it enlarges each to 224 or 299 pixels."""


class FrechetDistance:
    """Fréchet distance of Gaussians fitted to two growing sets of feature vectors, computed by torchmetrics."""

    def __init__(self) -> None:
        self._metric: Any = None
        self.real = self.dreamed = 0

    def update(self, real: Tensor, dreamed: Tensor) -> None:
        """Add features ``(N, F)`` of each set."""
        from torchmetrics.image.fid import FrechetInceptionDistance

        if self._metric is None:
            identity = nn.Identity()
            identity.num_features = real.shape[1]
            self._metric = FrechetInceptionDistance(feature=identity)
        self._metric.update(real.cpu().double(), real=True)
        self._metric.update(dreamed.cpu().double(), real=False)
        self.real, self.dreamed = self.real + len(real), self.dreamed + len(dreamed)

    def compute(self) -> float:
        """The distance.

        Raises:
            NotComputed: fewer than two vectors in a set.
        """
        if min(self.real, self.dreamed) < 2:
            raise NotComputed("fewer than two samples: give more or longer episodes")
        return float(self._metric.compute())


@dataclass
class SetDistance:
    """FID or FVD of dreams and of copying, against what really followed, gathered batch by batch.

    `samples` takes from frames uint8 ``(B, H, C, Y, X)``, the frames before them and what is inside, the pictures or
    clips of which `features` are taken.
    """

    features: Features
    samples: Callable[[Tensor, DreamBatch], Tensor]
    model: FrechetDistance = field(default_factory=FrechetDistance)
    copy: FrechetDistance = field(default_factory=FrechetDistance)

    @torch.no_grad()
    def update(self, starts: Starts, batch: DreamBatch) -> None:
        """Add the dreams of a batch."""
        copied = batch.last.unsqueeze(1).expand(batch.real.shape)
        samples = [self.samples(frames, batch) for frames in (batch.real, batch.dreamed, copied)]
        if not len(samples[0]):
            return
        real, dreamed, still = (torch.cat([self.features(part) for part in of.split(PART)]) for of in samples)
        self.model.update(real, dreamed)
        self.copy.update(real, still)


def pictures(frames: Tensor, batch: DreamBatch) -> Tensor:
    """Every frame that can be compared, a picture for each camera, ``(N, 3, H, W)``."""
    return streams(frames[batch.inside])


def clips(frames: Tensor, batch: DreamBatch) -> Tensor:
    """The first CLIP_STEPS steps of every dream that has them, after the frame it began with, ``(N, T, 3, H, W)``; each
    camera's by itself."""
    if batch.inside.shape[1] < CLIP_STEPS:
        return frames.new_zeros((0, CLIP_STEPS + 1, 3, *frames.shape[-2:]))
    whole = batch.inside[:, CLIP_STEPS - 1]
    clip = torch.cat([batch.last[whole].unsqueeze(1), frames[whole, :CLIP_STEPS]], 1)
    return clip.unflatten(2, (-1, 3)).transpose(1, 2).flatten(0, 1)

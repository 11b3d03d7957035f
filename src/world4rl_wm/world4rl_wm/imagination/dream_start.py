"""What the dreams of one question begin with, as tensors where the world model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from world4rl_wm.imagination.dream_context import DreamContext
from world4rl_wm.model.frames import to_float
from world4rl_wm.model.world_model import WorldModel


@dataclass(frozen=True)
class DreamStart:
    """`frames` ``(S, T, C, H, W)`` in [-1, 1], oldest first; `actions` ``(S, T - 1, A)`` led from each to the next;
    `proprio` ``(S, 2, P)`` measured in the last two frames, None: estimated from them; `tasks` of the S dreams, None:
    the world model is not told; `seed` of their noise.
    """

    frames: Tensor
    actions: Tensor
    proprio: Tensor | None
    tasks: Sequence[str] | None
    seed: int

    @classmethod
    def of(cls, context: DreamContext, model: WorldModel, samples: int, seed: int, task: str = "") -> DreamStart:
        """`samples` dreams from the same context, each with its own noise; `task` empty: not told."""
        frames, actions = (repeated(part, samples, model.device) for part in (context.frames, context.actions))
        measured = None if model.state_model is None else context.proprio
        proprio = None if measured is None else repeated(measured, samples, model.device)
        return cls(to_float(frames), actions, proprio, [task] * samples if task else None, seed)

    def __len__(self) -> int:
        return len(self.frames)


def repeated(array: np.ndarray, samples: int, device: torch.device) -> Tensor:
    """The same for each of `samples` dreams."""
    return torch.from_numpy(array).to(device).unsqueeze(0).repeat(samples, *[1] * array.ndim)

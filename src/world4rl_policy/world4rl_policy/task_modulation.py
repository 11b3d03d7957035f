"""How a policy for several tasks is told which: the features of its pictures are scaled and shifted by the task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TaskError(ValueError):
    """A policy for several tasks was not told which, or one that it has not learned."""


class TaskModulation(nn.Module):
    """FiLM (Perez et al. 2018): a learned scale and shift of each feature for each of the tasks `names`; none at first.

    The image encoder is shared: what one task teaches about seeing serves the others.
    """

    def __init__(self, names: Sequence[str], width: int):
        super().__init__()
        self.names = tuple(names)
        self.scale, self.shift = nn.Embedding(len(names), width), nn.Embedding(len(names), width)
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, features: Tensor, tasks: Tensor | None) -> Tensor:
        """Features ``(B, width)`` for tasks by number ``(B,)``; TaskError where nobody says which."""
        if tasks is None:
            raise TaskError(f"this policy has learned several tasks: tell it which of {', '.join(self.names)}")
        return features * (1 + self.scale(tasks)) + self.shift(tasks)

    def numbers(self, tasks: Sequence[str] | None) -> Tensor | None:
        """Numbers ``(B,)`` of B tasks by name, None of none; TaskError: one that was not learned."""
        if tasks is None:
            return None
        unknown = sorted(set(tasks) - set(self.names))
        if unknown:
            known = ", ".join(self.names)
            raise TaskError(f"this policy has not learned {', '.join(map(repr, unknown))}, only {known}")
        return torch.tensor([self.names.index(task) for task in tasks], device=self.scale.weight.device)

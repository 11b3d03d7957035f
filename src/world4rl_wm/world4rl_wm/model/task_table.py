"""What a world model of several tasks is told of the task: a vector of given width, here a learned one for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from world4rl_wm.training.draws import Draws

DROPOUT = 0.1
"""Share of the training in which the task is not told, so that it can be left out later."""


class TaskTable(nn.Module):
    """Vectors of the tasks `names`. Vectors from elsewhere, as of a text encoder, fit in the same place."""

    def __init__(self, names: Sequence[str], width: int):
        super().__init__()
        self.names = tuple(names)
        self.vectors = nn.Embedding(len(names), width)

    def training_vectors(self, numbers: Tensor, draws: Draws) -> Tensor:
        """``(B, width)`` of tasks by number ``(B,)``, some of them zeros: not told."""
        return self.vectors(numbers) * (draws.uniform(len(numbers), 1) >= DROPOUT)

    @torch.no_grad()
    def forward(self, tasks: Sequence[str]) -> Tensor:
        """``(B, width)`` of tasks by name. ValueError for one that was not learned."""
        unknown = sorted(set(tasks) - set(self.names))
        if unknown:
            known = ", ".join(self.names)
            raise ValueError(f"the world model has not learned {', '.join(unknown)}, only {known}")
        numbers = [self.names.index(task) for task in tasks]
        return self.vectors(torch.tensor(numbers, device=self.vectors.weight.device))

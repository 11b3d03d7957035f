"""PopArt (van Hasselt et al. 2016): the value function learns normalised returns without forgetting what it says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class PopArt:
    """Mean and standard deviation of all returns so far, and a linear `head` that follows them.

    The head puts out normalised values. When the moments move, its weights are rescaled so that the denormalised values
    stay what they were. Without variance the standard deviation counts as 1.
    """

    def __init__(self, head: nn.Linear):
        self.head = head
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    @property
    def std(self) -> float:
        variance = self._squares / self.count if self.count else 0.0
        return float(variance**0.5) if variance > 1e-8 else 1.0

    def state_dict(self) -> dict[str, Any]:
        """The moments, as JSON; the head belongs to the value function."""
        return {"count": self.count, "mean": self.mean, "squares": self._squares}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        self.count, self.mean, self._squares = values["count"], values["mean"], values["squares"]

    def normalise(self, returns: Tensor) -> Tensor:
        return (returns - self.mean) / self.std

    def denormalise(self, output: Tensor) -> Tensor:
        return output * self.std + self.mean

    @torch.no_grad()
    def update(self, returns: Tensor) -> None:
        """Take `returns` ``(B,)`` into the moments (Chan et al. 1979) and rescale the head."""
        if not len(returns):
            return
        mean, std = self.mean, self.std
        size, new = len(returns), returns.double()
        delta, total = float(new.mean()) - self.mean, self.count + size
        self._squares += float((new - new.mean()).square().sum()) + delta**2 * self.count * size / total
        self.mean, self.count = self.mean + delta * size / total, total
        self.head.weight.mul_(std / self.std)
        self.head.bias.copy_((std * self.head.bias + mean - self.mean) / self.std)

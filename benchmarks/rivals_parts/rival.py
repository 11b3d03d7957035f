"""What the benchmark asks of a world model of any kind, and the simplest one: nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from world4rl_wm.model.frames import Window, to_uint8


@dataclass(frozen=True)
class Trained:
    """What a training took: optimisation `steps`, `cpu_s` seconds of CPU, `wall_s` seconds on the clock."""

    parameters: int
    steps: int
    cpu_s: float
    wall_s: float


class Rival(Protocol):
    """A trained world model."""

    trained: Trained

    def dream(self, seen: Window, actions: Tensor, seed: int, tasks: Sequence[str]) -> Tensor:
        """Frames uint8 ``(B, H, C, Y, X)`` that follow `actions` ``(B, H, A)`` after the past that `seen` holds.

        Of `seen` the context ``(B, T, C, Y, X)``, its actions but the last ``(B, T - 1, A)`` and its proprioception may
        be used. `tasks` names the task of each of the B, for those that are told.
        """
        ...


class CopyLastFrame:
    """Every frame to come is the last one seen."""

    trained = Trained(0, 0, 0.0, 0.0)

    def dream(self, seen: Window, actions: Tensor, seed: int, tasks: Sequence[str]) -> Tensor:
        return to_uint8(seen.context[:, -1:]).repeat(1, actions.shape[1], 1, 1, 1)


def parameters(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())

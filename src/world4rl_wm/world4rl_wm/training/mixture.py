"""Which moments of the data a training step draws: as they are, or in set shares by source and evenly over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from world4rl_data.store import EpisodeInfo


@dataclass(frozen=True)
class Mixture:
    """Shares of the moments drawn by the source of their episode, relative to each other; all 0: as the data are.

    With `balance_tasks` every task is drawn as often as any other, and the shares hold within each.
    """

    expert: float = 0.0
    policy: float = 0.0
    random: float = 0.0
    intervention: float = 0.0
    balance_tasks: bool = False

    def __post_init__(self) -> None:
        if min(self.shares.values()) < 0:
            raise ValueError(f"mixture {self.shares} has a negative share: give 0 to leave a source out")

    @property
    def shares(self) -> dict[str, float]:
        """By source."""
        return {name: value for name, value in asdict(self).items() if name != "balance_tasks"}


def episode_weights(infos: Sequence[EpisodeInfo], mixture: Mixture) -> np.ndarray | None:
    """How likely a moment of each episode is drawn, ``(episodes,)``; None where all moments are equally likely.

    Raises:
        ValueError: a share is of a source that no episode has.
    """
    shares = mixture.shares
    as_they_are = not any(shares.values())
    if as_they_are and not mixture.balance_tasks:
        return None
    present = {info.source for info in infos}
    absent = sorted(name for name, value in shares.items() if value > 0 and name not in present)
    if absent:
        raise ValueError(f"mixture asks for {', '.join(absent)}, but the episodes are of {', '.join(sorted(present))}")
    lengths = np.array([info.length for info in infos], float)
    source = np.array([info.source for info in infos])
    task = np.array([info.task if mixture.balance_tasks else "" for info in infos])
    weights = np.zeros(len(infos))
    for name in np.unique(task):
        own = task == name
        for kind in present:
            rows = own & (source == kind)
            if rows.any():
                weights[rows] = 1.0 if as_they_are else shares[kind] / lengths[rows].sum()
        total = (weights * lengths)[own].sum()
        if total == 0:
            raise ValueError(f"mixture leaves nothing of task '{name}': it has no source with a share above 0")
        weights[own] /= total * len(np.unique(task))
    return weights


def draw_weighted(weights: Tensor, uniform: Tensor) -> Tensor:
    """Indices drawn in proportion to `weights` ``(N,)``, one for each of `uniform` ``(B,)`` in [0, 1)."""
    cumulative = weights.double().cumsum(0)
    found = torch.searchsorted(cumulative, uniform.double() * cumulative[-1], right=True)
    return found.clamp(max=len(weights) - 1)

"""Honest failure: do dreams of real episodes end as the episodes really did?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.measures.intervals import Estimate, Rate, rate, resample
from world4rl_wm.measures.replay import replay, success_steps
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel


@dataclass(frozen=True)
class Confusion:
    """Real outcomes by what dream and reward model make of them.

    `honest_success`: share of the real successes that are dreamed as such (the replay check's true positives);
    `honest_failure`: share of the real failures that are dreamed as such (1 - its false positives).
    """

    honest_success: Rate
    honest_failure: Rate

    @property
    def rows(self) -> list[tuple[str, int, int]]:
        """Real outcome, how many of it were dreamed as success and as failure."""
        good, bad = self.honest_success, self.honest_failure
        return [("success", good.count, good.of - good.count), ("failure", bad.of - bad.count, bad.count)]


def confusion(real: Tensor, dreamed: Tensor) -> Confusion:
    """Of outcomes bool ``(E,)``."""
    true_positive, true_negative = int((real & dreamed).sum()), int((~real & ~dreamed).sum())
    return Confusion(rate(true_positive, int(real.sum())), rate(true_negative, int((~real).sum())))


def outcome_steps(
    model: WorldModel,
    judge: RewardModel,
    store: EpisodeStore,
    episodes: Sequence[int],
    hits: int,
    seed: int = 0,
    batch: int = 64,
) -> tuple[Tensor, Tensor]:
    """Steps at which labelled episodes succeeded in reality and in their dreams, int64 ``(E,)``; -1: they did not.

    Every episode is dreamed from its first frame to its last and read as in the replay check, `batch` at a time.
    """
    real, dreamed = [], []
    for first in range(0, len(episodes), batch):
        again = replay(model, store, episodes[first : first + batch], seed + first, batch)
        real.append(again.success_index)
        dreamed.append(success_steps(again, judge, hits)[1])
    return torch.cat(real), torch.cat(dreamed)


def by_horizon(real_step: Tensor, dreamed_step: Tensor, horizon: int) -> dict[str, list[Estimate | None]]:
    """The replay check at every step: of what had succeeded by then and what had not, what did the dream say by then?

    Args:
        real_step, dreamed_step: int64 ``(E,)``, step of the success, -1 where there was none.

    Returns:
        `tpr`, `fpr` and `j` = tpr - fpr for steps 1..horizon, with intervals over episodes; None where there is nothing
        to take a share of. `episodes` is how many the share is of.
    """
    steps = np.arange(1, horizon + 1)
    real, dreamed = (_by(step.numpy(), steps) for step in (real_step, dreamed_step))
    tpr, fpr = (resample(np.where(part, dreamed, np.nan)) for part in (real, ~real))
    return {"tpr": tpr.estimates(), "fpr": fpr.estimates(), "j": tpr.minus(fpr).estimates()}


def _by(step: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether success came by each of `steps`: ``(E, H)``."""
    return (step[:, None] >= 0) & (step[:, None] <= steps)

"""Honest failure: do dreams of real episodes end as the episodes really did?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from world4rl_wm.measures.dreams import DreamBatch, Starts
from world4rl_wm.measures.intervals import Estimate, Rate, rate, resample
from world4rl_wm.model.frames import to_float
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


def success_step(hit: Tensor, hits: int) -> Tensor:
    """Column at which the first `hits` hits in a row begin in bool ``(E, T)``, ``(E,)``; -1 where there are none."""
    if hit.shape[1] < hits:
        return torch.full((len(hit),), -1)
    streak = hit.unfold(1, hits, 1).all(-1)
    return streak.long().argmax(1).where(streak.any(1), -1)


class SuccessSteps:
    """Reads in the dreams of whole episodes when they succeed.

    `steps` int64 ``(E,)``: where `hits` frames in a row above the reward model's threshold begin, as in
    `ImaginationEnv`; -1 where there are none.
    """

    def __init__(self, judge: RewardModel, hits: int, episodes: int):
        self.judge, self.hits = judge, hits
        self.steps = torch.full((episodes,), -1)

    def update(self, starts: Starts, batch: DreamBatch) -> None:
        """Judge the dreams that begin with an episode's first frame."""
        whole = starts.step[batch.starts] == 0
        if not whole.any():
            return
        device = next(self.judge.parameters()).device
        frames = to_float(batch.dreamed[whole].flatten(0, 1).to(device))
        probability = self.judge.probability(frames).cpu().reshape(int(whole.sum()), -1)
        first = success_step((probability > self.judge.threshold) & batch.inside[whole], self.hits)
        self.steps[starts.episode[batch.starts[whole]]] = torch.where(first < 0, -1, first + 1)


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

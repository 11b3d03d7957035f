"""Calibration of the reward model on episodes that it has not learned from: true probabilities, and where to cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from world4rl_wm.model.frames import to_float
from world4rl_wm.reward.data import LabelledFrames
from world4rl_wm.reward.model import RewardModel


@dataclass(frozen=True)
class RewardCalibration:
    """`episodes` is the share of the episodes that are set aside for calibration, 0 for none.

    `threshold` on the probability is a number, or `calibrated`: where J = true-positive rate - false-positive rate over
    the frames set aside is largest, in the middle of the widest gap where several cuts are equally good.
    """

    episodes: float = 0.0
    threshold: float | Literal["calibrated"] = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.episodes <= 0.5:
            raise ValueError(f"reward.calibration.episodes is {self.episodes}: the share set aside must be 0 to 0.5")
        if self.episodes == 0 and self.threshold == "calibrated":
            raise ValueError(
                "reward.calibration.threshold=calibrated needs episodes to calibrate on: "
                "give reward.calibration.episodes above 0, or a number as the threshold"
            )


@torch.no_grad()
def log_odds(model: RewardModel, frames: Tensor, batch: int = 512) -> Tensor:
    """``(N,)`` log-odds of uint8 frames ``(N, C, H, W)`` as the network gives them."""
    return torch.cat([model.logits(to_float(part.to(model.device))).cpu() for part in frames.split(batch)])


def fit_platt(logits: Tensor, success: Tensor) -> tuple[float, float]:
    """Scale (above 0) and shift with which ``sigmoid(scale * logits + shift)`` fits `success` best.

    Platt's smoothed targets keep them finite where the classes can be separated. The shift undoes the fixed shares of
    the classes in training; temperature scaling, which has none, could not.
    """
    x, y = logits.double().numpy(), success.numpy()
    positives, negatives = int(y.sum()), int((~y).sum())
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.exp(parameters[0]) * x + parameters[1]  # the scale's logarithm: the order of frames must not turn
        error = expit(z) - target
        value = np.mean(np.logaddexp(0, z) - target * z)
        return value, np.array([np.mean(error * x) * np.exp(parameters[0]), np.mean(error)])

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-5, 5), (-50, 50)])
    return float(np.exp(found.x[0])), float(found.x[1])


def best_threshold(probability: Tensor, success: Tensor) -> float:
    """The threshold at which J of ``probability > threshold`` is largest; see `RewardCalibration`."""
    value, order = probability.double().sort()
    truth = success[order].double()
    below = truth.cumsum(0) / truth.sum(), (1 - truth).cumsum(0) / (1 - truth).sum()  # shares called no success
    j = (below[1] - below[0])[:-1]  # cut after each value but the last
    gap = value.diff()
    j = torch.where(gap > 0, j, -1.0)
    best = j >= j.max() - 1e-12
    cut = int(torch.where(best, gap, -1.0).argmax())
    return float((value[cut] + value[cut + 1]) / 2)


def calibrate(model: RewardModel, data: LabelledFrames | None, config: RewardCalibration) -> None:
    """Set the model's scale and shift from `data`, where there is some, and its threshold as `config` says.

    Raises:
        ValueError: a threshold is to be calibrated, but there are no frames for it, or all get the same probability.
    """
    threshold = config.threshold
    if data is None:
        if threshold == "calibrated":
            raise ValueError("a calibrated threshold needs frames of episodes that were not learned: give some")
        model.config = replace(model.config, threshold=threshold)
        return
    logits = log_odds(model, data.frames)
    scale, shift = fit_platt(logits, data.success)
    if threshold == "calibrated":
        if len(logits.unique()) < 2:
            raise ValueError("the reward model gives all frames the same probability: train it longer")
        threshold = best_threshold(torch.sigmoid(scale * logits + shift), data.success)
    model.config = replace(model.config, scale=scale, shift=shift, threshold=threshold)

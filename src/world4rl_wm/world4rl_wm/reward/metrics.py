"""How good a reward model is on frames of episodes that it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from world4rl_wm.measures.concordance import reliability_bins
from world4rl_wm.model.frames import to_float
from world4rl_wm.reward.calibration import log_odds
from world4rl_wm.reward.data import LabelledFrames
from world4rl_wm.reward.model import RewardModel


@torch.no_grad()
def confusion(model: RewardModel, data: LabelledFrames, batch: int = 512) -> dict[str, int]:
    """Counts of frames by truth and verdict at the model's threshold."""
    parts = data.frames.split(batch)
    verdict = torch.cat([model.probability(to_float(part.to(model.device))).cpu() > model.threshold for part in parts])
    return _counts(verdict, data.success)


def _counts(verdict: Tensor, truth: Tensor) -> dict[str, int]:
    return {
        "true_positive": int((verdict & truth).sum()),
        "false_positive": int((verdict & ~truth).sum()),
        "true_negative": int((~verdict & ~truth).sum()),
        "false_negative": int((~verdict & truth).sum()),
    }


def reliability(probability: Tensor, success: Tensor) -> dict[str, Any]:
    """Brier score, expected calibration error (ECE) and the curve behind it.

    The curve has a point for each of the `reliability_bins` that holds any frame: their mean probability, the share of
    successes among them and their count. ECE is the mean distance of the two, weighted by the counts.
    """
    curve = [
        {"probability": round(one.belief, 4), "success": round(one.real, 4), "frames": one.count}
        for one in reliability_bins(probability.double().cpu().numpy(), success.double().cpu().numpy())
    ]
    ece = sum(abs(point["probability"] - point["success"]) * point["frames"] for point in curve) / len(probability)
    brier = float((probability - success.float()).square().mean())
    return {"brier": round(brier, 5), "ece": round(ece, 5), "curve": curve}


@torch.no_grad()
def progress_error(model: RewardModel, data: LabelledFrames, batch: int = 512) -> dict[str, Any]:
    """Mean absolute error of progress over the frames where it is defined, beside that of always telling their mean;
    and Pearson's correlation with the truth, 0 where one of them does not vary.
    """
    known = data.progress.isfinite()
    parts = data.frames[known].split(batch)
    told = torch.cat([model.progress(to_float(part.to(model.device))).cpu() for part in parts])
    truth = data.progress[known]
    correlation = float(np.corrcoef(told, truth)[0, 1]) if len(told.unique()) > 1 < len(truth.unique()) else 0.0
    return {
        "frames": len(truth),
        "mean_absolute_error": round(float((told - truth).abs().mean()), 4),
        "of_the_mean": round(float((truth.mean() - truth).abs().mean()), 4),
        "correlation": round(correlation, 4),
    }


def measure(model: RewardModel, data: LabelledFrames) -> dict[str, Any]:
    """Everything that can be said of the model on `data`; `uncalibrated` is of the network's own probability."""
    logits, truth = log_odds(model, data.frames), data.success
    probability = torch.sigmoid(model.config.scale * logits + model.config.shift)
    counts = _counts(probability > model.threshold, truth)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    j = counts["true_positive"] / max(1, positives) - counts["false_positive"] / max(1, negatives)
    found = {"confusion": counts, "j": round(j, 4)} | reliability(probability, truth)
    if (model.config.scale, model.config.shift) != (1.0, 0.0):
        found["uncalibrated"] = reliability(torch.sigmoid(logits), truth)
    if model.progress_net is not None:
        found["progress"] = progress_error(model, data)
    return found

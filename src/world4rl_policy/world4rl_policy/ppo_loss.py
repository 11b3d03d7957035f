"""The clipped objective of PPO and what it says about the step that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClippedObjective:
    """Of every action, ``(B,)``: `gain` is to be maximised on average; the means of `kl` and of `clipped` (0 or 1) tell
    how far the policy has gone."""

    gain: Tensor
    kl: Tensor
    clipped: Tensor


def clipped_objective(log_ratio: Tensor, advantage: Tensor, clip: float) -> ClippedObjective:
    """L^CLIP of Schulman et al. 2017 (equation 7).

    Args:
        log_ratio: ``(B,)`` log pi(a | x) - log pi_old(a | x).
        advantage: ``(B,)``.
        clip: epsilon; ratios count up to 1 + epsilon and down to 1 - epsilon.

    The KL is Schulman's estimate ``(r - 1) - log r``, which is never negative.
    """
    ratio = log_ratio.exp()
    gain = torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    kl = ((ratio - 1) - log_ratio).detach()
    return ClippedObjective(gain, kl, ((ratio.detach() - 1).abs() > clip).float())

"""Two-hot action encoding (World4RL, section III; arXiv 2509.19080)."""

from __future__ import annotations

import torch
from torch import Tensor


def two_hot(actions: Tensor, bins: int = 21) -> Tensor:
    """Spread each action dimension over its two nearest of `bins` evenly spaced bins.

    An action ``a`` in ``[b_k, b_{k+1}]`` gets weight ``(b_{k+1} - a) / (b_{k+1} - b_k)`` on bin k and the rest on
    bin k + 1: lossless, differentiable almost everywhere, and the weights sum to one.

    Args:
        actions: ``(..., A)`` in [-1, 1].
        bins: number of bins K, at least 2.

    Returns:
        ``(..., A * K)`` float weights, dimension-major.

    Raises:
        ValueError: when an action is NaN or outside [-1, 1] (beyond rounding).
    """
    if bins < 2:
        raise ValueError(f"two-hot needs at least 2 bins, got {bins}")
    # one comparison that NaN fails too
    if not bool((actions.detach().abs() <= 1.0 + 1e-5).all()):
        raise ValueError("two-hot actions must be finite and lie in [-1, 1]: clamp them at the safety gate first")
    position = (actions.clamp(-1.0, 1.0) + 1.0) * (0.5 * (bins - 1))
    lower = position.detach().floor().clamp(max=bins - 2)
    fraction = (position - lower).unsqueeze(-1)
    index = torch.arange(bins, device=actions.device, dtype=actions.dtype)
    lower = lower.unsqueeze(-1)
    weights = (index == lower).to(actions.dtype) * (1 - fraction) + (index == lower + 1).to(actions.dtype) * fraction
    return weights.flatten(-2)


def from_two_hot(weights: Tensor, bins: int = 21) -> Tensor:
    """Inverse of `two_hot`: ``(..., A * K)`` weights to ``(..., A)`` actions in [-1, 1]."""
    centers = torch.linspace(-1.0, 1.0, bins, device=weights.device, dtype=weights.dtype)
    return (weights.unflatten(-1, (-1, bins)) * centers).sum(-1)

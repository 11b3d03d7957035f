"""Generalised advantage estimation, and how much of the returns the value function explains."""

from __future__ import annotations

import torch
from torch import Tensor

from world4rl_policy.rollouts import RolloutBatch


def generalized_advantage(batch: RolloutBatch, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
    """GAE (Schulman et al. 2016): advantages and returns, ``(T, N)``.

    The horizon is part of the task (an episode that runs out of time has failed), so nothing is bootstrapped there.
    """
    advantage = torch.zeros_like(batch.rewards)
    running = following = torch.zeros_like(batch.values[0])
    for t in reversed(range(len(batch.rewards))):
        going_on = 1.0 - batch.ended[t].float()
        delta = batch.rewards[t] + gamma * going_on * following - batch.values[t]
        running = delta + gamma * gae_lambda * going_on * running
        running = torch.where(batch.valid[t], running, torch.zeros_like(running))
        advantage[t] = running
        following = batch.values[t]
    return advantage, advantage + batch.values


def normalise(advantage: Tensor) -> Tensor:
    """Zero mean, unit variance; all zeros where there is no variance to speak of."""
    std = advantage.std(unbiased=False)
    return (advantage - advantage.mean()) / (std + 1e-8) if std > 1e-6 else torch.zeros_like(advantage)


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns): 1 is perfect, 0 no better than a constant; 0 without variance."""
    if len(returns) < 2 or float(returns.var()) < 1e-8:
        return 0.0
    return float(1 - (returns - values).var() / returns.var())

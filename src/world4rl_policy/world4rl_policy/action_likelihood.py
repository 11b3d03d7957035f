"""How probable a policy finds actions that were executed, with the standard deviation that fits them best."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy


@dataclass(frozen=True)
class ActionLikelihood:
    """`std` ``(A,)`` [action units] fits best; `nll`: mean negative log-likelihood of an action with it [nats]."""

    std: Tensor
    nll: float


@torch.no_grad()
def action_likelihood(policy: GaussianPolicy, examples: Iterable[tuple[Tensor, ...]]) -> ActionLikelihood:
    """Of the examples, batches of frames ``(B, history, C, H, W)`` in [-1, 1] and actions ``(B, A)``; then, for a
    policy that is told, the numbers of their tasks ``(B,)``.

    Given the policy's mean the standard deviation of maximum likelihood has a closed form: in each dimension the root
    mean square of action - mean, within the policy's bounds. The policy is left as it is.
    """
    squares, count = torch.zeros(policy.config.action_dim, dtype=torch.float64, device="cpu"), 0
    for frames, actions, *tasks in examples:
        squares += (actions - policy.act(frames, True, *tasks)).double().square().sum(0).cpu()
        count += len(actions)
    mean_square = squares / count
    std = mean_square.sqrt().clamp(policy.config.min_std, policy.config.max_std)
    nll = (std.log() + mean_square / (2 * std.square()) + 0.5 * math.log(2 * math.pi)).sum()
    return ActionLikelihood(std.float(), float(nll))

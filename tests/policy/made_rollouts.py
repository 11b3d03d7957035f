"""Roll-outs of random numbers, as far as advantages need them."""

from __future__ import annotations

import torch

from world4rl_policy.rollouts import RolloutBatch


def made_rollouts(seed: int, steps: int = 6, envs: int = 5, ending: float = 0.2) -> RolloutBatch:
    """Random rewards and values; an episode ends at most once, in each step with the chance `ending`, and what follows
    is not valid."""
    generator = torch.Generator().manual_seed(seed)
    rewards, values = (torch.randn(steps, envs, generator=generator) for _ in range(2))
    terminated = torch.rand(steps, envs, generator=generator) < ending
    terminated &= terminated.cumsum(0) == 1
    valid = torch.cat([torch.zeros(1, envs), terminated.cumsum(0)[:-1]]) == 0
    nothing = torch.zeros(steps, envs)
    return RolloutBatch(nothing, nothing, nothing, rewards, values, terminated, valid)

"""What PPO learns from: roll-outs of a policy with exploration noise in a vector environment, dream or simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy


class VectorEnv(Protocol):
    """The part of the vector-environment contract that PPO uses; dream and simulator both have it."""

    num_envs: int

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]: ...

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]: ...


@dataclass(frozen=True)
class RolloutBatch:
    """One batch of roll-outs, time first: ``(T, N, ...)``. `valid` is False after an episode's end.

    `won` says where success was reached; without it, a reward above 0 is one.
    """

    observations: Tensor
    actions: Tensor
    log_prob: Tensor
    rewards: Tensor
    values: Tensor
    terminated: Tensor
    valid: Tensor
    last_value: Tensor
    won: Tensor | None = None

    @property
    def success(self) -> float:
        """Share of the episodes that reached success."""
        won = self.rewards > 0 if self.won is None else self.won
        return float((won & self.valid).any(0).float().mean())


def collect(
    env: VectorEnv,
    policy: GaussianPolicy,
    value: Callable[[Tensor], Tensor],
    horizon: int,
    std: Tensor,
    generator: torch.Generator,
) -> RolloutBatch:
    """Run the policy with exploration noise `std` ``(A,)`` for one batch of episodes of at most `horizon` steps."""
    observation, _ = env.reset(seed=int(torch.randint(2**31, (), generator=generator)))
    alive = torch.ones(env.num_envs, dtype=torch.bool)
    steps = []
    with torch.no_grad():
        for _ in range(horizon):
            distribution = policy.distribution(observation, std)
            noise = torch.randn(distribution.mean.shape, generator=generator)
            action = distribution.mean + std * noise
            following, reward, terminated, _, info = env.step(action)
            log_prob = distribution.log_prob(action).sum(-1)
            won = info.get("success", reward > 0)
            steps.append((observation, action, log_prob, reward, value(observation), terminated, alive, won))
            alive = alive & ~terminated
            observation = following
        last_value = value(observation)
    *columns, won = [torch.stack(column) for column in zip(*steps, strict=True)]
    return RolloutBatch(*[*columns, last_value, won])

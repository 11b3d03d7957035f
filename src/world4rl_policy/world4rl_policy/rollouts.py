"""What PPO learns from: roll-outs of a policy with exploration noise in a vector environment, dream or simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.precision import autocast, storage_format
from world4rl_wm.training.share import Share


class VectorEnv(Protocol):
    """The part of the vector-environment contract that PPO uses; dream and simulator both have it.

    Its tensors are on the policy's device. Where several processes share a batch, `num_envs` are those of this process,
    and all reset by the same seed. What resets them tells the names of their `tasks`, where there are several. What
    steps them may tell where `success` is reached, and which of these are `verified` (`RolloutBatch`).
    """

    num_envs: int

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Any]]: ...

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]: ...


@dataclass(frozen=True)
class RolloutBatch:
    """One batch of roll-outs, time first: ``(T, N, ...)``. `ended` is True in an episode's last step, be it done or out
    of time; `valid` is False after it.

    `won` says where success was reached; without it, a reward above 0 is one. `tasks` ``(N,)``: numbers that the
    policy was told. `verified`, where the environment tells it: in the step in which a verified success is reached, how
    many frames in a row show it by then; else 0.
    """

    observations: Tensor
    actions: Tensor
    log_prob: Tensor
    rewards: Tensor
    values: Tensor
    ended: Tensor
    valid: Tensor
    won: Tensor | None = None
    tasks: Tensor | None = None
    verified: Tensor | None = None

    @property
    def success(self) -> float:
        """Share of the episodes that reached success."""
        won = self.rewards > 0 if self.won is None else self.won
        return float((won & self.valid).any(0).float().mean())

    def of_all(self, share: Share) -> RolloutBatch:
        """With what all processes know of their episodes; observations, actions and `log_prob` stay this one's."""
        columns = {name: share.gather(getattr(self, name), 1) for name in ("rewards", "values", "ended", "valid")}
        won = None if self.won is None else share.gather(self.won, 1)
        return replace(self, **columns, won=won)


def collect(
    env: VectorEnv,
    policy: GaussianPolicy,
    value: Callable[[Tensor, Tensor | None], Tensor],
    horizon: int,
    std: Tensor,
    generator: torch.Generator,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> RolloutBatch:
    """Run the policy with exploration noise `std` ``(A,)`` for one batch of episodes of at most `horizon` steps.

    The noise comes from the CPU's `generator`: the same on every device. Observations are kept as the networks' first
    layers read them, for they are read often.
    """
    observation, told = env.reset(seed=int(torch.randint(2**31, (), generator=generator, device="cpu")))
    tasks = policy.task_numbers(told.get("tasks"))
    alive = torch.ones(env.num_envs, dtype=torch.bool, device=observation.device)
    whole = (env.num_envs * share.count, len(std))
    steps = []
    verified: list[Tensor] = []
    with torch.no_grad():
        for _ in range(horizon):
            observation = policy.patches(observation.to(storage_format(std.device)))
            with autocast(std.device):
                distribution, expected = policy.distribution(observation, std, tasks), value(observation, tasks)
            noise = share.keep(torch.randn(whole, generator=generator, device="cpu")).to(std.device)
            action = distribution.mean + std * noise
            following, reward, terminated, truncated, info = env.step(action)
            ended = terminated | truncated
            log_prob = distribution.log_prob(action).sum(-1)
            won = info.get("success", reward > 0)
            steps.append((observation, action, log_prob, reward, expected, ended, alive, won))
            verified += [info["verified"]] if "verified" in info else []
            alive = alive & ~ended
            observation = following
    columns = [torch.stack(column) for column in zip(*steps, strict=True)]
    return replace(RolloutBatch(*columns), tasks=tasks, verified=torch.stack(verified) if verified else None)

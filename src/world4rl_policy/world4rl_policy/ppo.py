"""Proximal policy optimisation on imagined roll-outs, with the BC term and the bounded exploration of World4RL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from world4rl_policy.actor_critic import GaussianPolicy, ValueFunction

DemonstrationSampler = Callable[[int], tuple[Tensor, Tensor]]
"""Size to frames ``(size, history, C, H, W)`` and actions ``(size, A)``."""


class VectorEnv(Protocol):
    """The part of the vector-environment contract that PPO uses; dream and simulator both have it."""

    num_envs: int

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]: ...

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]: ...


@dataclass(frozen=True)
class PpoConfig:
    """PPO's textbook settings, and what keeps an imagined gain real.

    `std` is the exploration's standard deviation (the paper's upper bound is e^0; tighter stays nearer the data).
    `bc_coefficient` weighs the log-likelihood of real successful actions. `target_kl` ends an update early.
    """

    iterations: int = 60
    horizon: int = 15
    epochs: int = 3
    minibatch_size: int = 256
    policy_learning_rate: float = 5e-5
    value_learning_rate: float = 5e-4
    clip: float = 0.2
    gamma: float = 0.97
    gae_lambda: float = 0.95
    std: float = 0.15
    entropy_coefficient: float = 0.0
    bc_coefficient: float = 0.1
    bc_batch_size: int = 64
    target_kl: float = 0.05
    value_warm_up: int = 4
    max_grad_norm: float = 0.5


@dataclass(frozen=True)
class RolloutBatch:
    """One batch of roll-outs, time first: ``(T, N, ...)``. `valid` is False after an episode's end."""

    observations: Tensor
    actions: Tensor
    log_prob: Tensor
    rewards: Tensor
    values: Tensor
    terminated: Tensor
    valid: Tensor
    last_value: Tensor

    @property
    def success(self) -> float:
        return float(self.rewards.sum(0).clamp(max=1).mean())


def collect(
    env: VectorEnv, policy: GaussianPolicy, value: ValueFunction, config: PpoConfig, generator: torch.Generator
) -> RolloutBatch:
    """Run the policy with exploration noise for one batch of episodes."""
    std = torch.full_like(policy.std, config.std)
    observation, _ = env.reset(seed=int(torch.randint(2**31, (), generator=generator)))
    alive = torch.ones(env.num_envs, dtype=torch.bool)
    steps = []
    with torch.no_grad():
        for _ in range(config.horizon):
            distribution = policy.distribution(observation, std)
            noise = torch.randn(distribution.mean.shape, generator=generator)
            action = distribution.mean + std * noise
            following, reward, terminated, _, _ = env.step(action)
            steps.append(
                (
                    observation,
                    action,
                    distribution.log_prob(action).sum(-1),
                    reward,
                    value(observation),
                    terminated,
                    alive,
                )
            )
            alive = alive & ~terminated
            observation = following
        last_value = value(observation)
    columns = [torch.stack(column) for column in zip(*steps, strict=True)]
    return RolloutBatch(*[*columns, last_value])


def generalized_advantage(batch: RolloutBatch, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
    """GAE (Schulman et al. 2016): advantages and returns, ``(T, N)``.

    The horizon is part of the task (an episode that runs out of time has failed), so nothing is bootstrapped there.
    """
    advantage = torch.zeros_like(batch.rewards)
    running = torch.zeros_like(batch.last_value)
    following = torch.zeros_like(batch.last_value)
    for t in reversed(range(len(batch.rewards))):
        going_on = 1.0 - batch.terminated[t].float()
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


class Ppo:
    """One refinement: policy and value function are trained in `env`, which stays frozen."""

    def __init__(
        self,
        policy: GaussianPolicy,
        env: VectorEnv,
        config: PpoConfig,
        demonstrations: DemonstrationSampler | None = None,
        seed: int = 0,
    ):
        torch.manual_seed(seed)
        self.policy, self.env, self.config, self.demonstrations = policy, env, config, demonstrations
        self.value = ValueFunction(policy.config)
        parameters = [p for name, p in policy.named_parameters() if name != "log_std"]
        self.policy_optimizer = torch.optim.Adam(parameters, lr=config.policy_learning_rate, eps=1e-5)
        self.value_optimizer = torch.optim.Adam(self.value.parameters(), lr=config.value_learning_rate, eps=1e-5)
        self.generator = torch.Generator().manual_seed(seed)
        self.std = torch.full_like(policy.std.detach(), config.std)
        self.iteration = 0

    def iterate(self) -> dict[str, float]:
        """Dream one batch and learn from it; returns what to log."""
        config = self.config
        batch = collect(self.env, self.policy, self.value, config, self.generator)
        advantage, returns = generalized_advantage(batch, config.gamma, config.gae_lambda)
        valid = batch.valid
        data = (
            batch.observations[valid],
            batch.actions[valid],
            batch.log_prob[valid],
            advantage[valid],
            returns[valid],
        )
        warming_up = self.iteration < config.value_warm_up
        log = self._update(*data, policy_too=not warming_up)
        explained = 1 - (returns[valid] - batch.values[valid]).var() / returns[valid].var().clamp(min=1e-8)
        self.iteration += 1
        return {
            "iteration": self.iteration,
            "imagined_success": batch.success,
            "explained_variance": float(explained),
            **log,
        }

    def _update(
        self,
        observations: Tensor,
        actions: Tensor,
        log_prob: Tensor,
        advantage: Tensor,
        returns: Tensor,
        policy_too: bool,
    ) -> dict[str, float]:
        config, size = self.config, len(actions)
        totals = {"policy_loss": 0.0, "value_loss": 0.0, "approx_kl": 0.0, "clip_fraction": 0.0, "bc_loss": 0.0}
        value_updates = policy_updates = 0
        advantage = normalise(advantage)
        stop = not policy_too
        for _ in range(config.epochs):
            for rows in torch.randperm(size, generator=self.generator).split(config.minibatch_size):
                value_loss = 0.5 * (self.value(observations[rows]) - returns[rows]).square().mean()
                self._descend(self.value_optimizer, value_loss, self.value)
                totals["value_loss"] += float(value_loss.detach())
                value_updates += 1
                if stop:
                    continue
                distribution = self.policy.distribution(observations[rows], self.std)
                log_ratio = distribution.log_prob(actions[rows]).sum(-1) - log_prob[rows]
                ratio = log_ratio.exp()
                kl = float(((ratio - 1) - log_ratio).mean().detach())
                if kl > config.target_kl:
                    stop = True
                    continue
                gain = torch.min(
                    ratio * advantage[rows], ratio.clamp(1 - config.clip, 1 + config.clip) * advantage[rows]
                )
                bc_loss = self._bc_loss()
                entropy = distribution.entropy().sum(-1).mean()
                policy_loss = -gain.mean() + config.bc_coefficient * bc_loss - config.entropy_coefficient * entropy
                self._descend(self.policy_optimizer, policy_loss, self.policy)
                policy_updates += 1
                totals["policy_loss"] += float(policy_loss.detach())
                totals["bc_loss"] += float(bc_loss.detach())
                totals["approx_kl"] = max(totals["approx_kl"], kl)
                totals["clip_fraction"] += float(((ratio - 1).abs() > config.clip).float().mean())
        counts = {"value_loss": value_updates, "approx_kl": 1}
        return {name: total / max(counts.get(name, policy_updates), 1) for name, total in totals.items()}

    def _bc_loss(self) -> Tensor:
        if self.demonstrations is None or self.config.bc_coefficient == 0:
            return torch.zeros(())
        frames, actions = self.demonstrations(self.config.bc_batch_size)
        return -self.policy.distribution(frames, self.std).log_prob(actions).sum(-1).mean()

    def _descend(self, optimizer: torch.optim.Optimizer, loss: Tensor, module: torch.nn.Module) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), self.config.max_grad_norm)
        optimizer.step()


@torch.no_grad()
def start_kl(policy: GaussianPolicy, start: GaussianPolicy, frames: Tensor, std: float) -> float:
    """Mean KL(policy || start) on `frames` at exploration noise `std`: how far refinement has gone."""
    spread = torch.full_like(policy.std, std)
    return float(kl_divergence(policy.distribution(frames, spread), start.distribution(frames, spread)).sum(-1).mean())

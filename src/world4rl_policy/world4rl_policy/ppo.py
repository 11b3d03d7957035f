"""Proximal policy optimisation (Schulman et al. 2017) on imagined roll-outs, and what holds it to the real data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from world4rl_policy.actor_critic import GaussianPolicy, ValueFunction
from world4rl_policy.advantage import explained_variance, generalized_advantage, normalise
from world4rl_policy.ppo_loss import clipped_objective
from world4rl_policy.rollouts import VectorEnv, collect
from world4rl_policy.value_normalisation import PopArt

DemonstrationSampler = Callable[[int], tuple[Tensor, Tensor]]
"""Size to frames ``(size, history, C, H, W)`` and actions ``(size, A)``."""


@dataclass(frozen=True)
class PpoConfig:
    """PPO's textbook settings, and what keeps an imagined gain real.

    `std` is the exploration's standard deviation (the paper's upper bound is e^0; tighter stays nearer the data). It
    is fixed unless `learn_std`, which starts there, learns the policy's own and keeps it within `min_std` and
    `max_std`. `bc_coefficient` weighs the log-likelihood of real successful actions, `kl_coefficient` KL(pi || start
    policy) on the dreamed states. `target_kl` ends an update early, `value_warm_up` iterations train the value function
    alone. `normalise_value` has it learn normalised returns.
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
    learn_std: bool = False
    min_std: float = 0.02
    max_std: float = 1.0
    entropy_coefficient: float = 0.0
    bc_coefficient: float = 0.1
    bc_batch_size: int = 64
    kl_coefficient: float = 0.0
    target_kl: float = 0.05
    value_warm_up: int = 4
    normalise_value: bool = False
    max_grad_norm: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.min_std <= self.max_std:
            raise ValueError(f"min_std {self.min_std} and max_std {self.max_std}: 0 < min_std <= max_std is needed")
        if self.learn_std and not self.min_std <= self.std <= self.max_std:
            raise ValueError(f"std {self.std} starts outside min_std {self.min_std} to max_std {self.max_std}")


@dataclass(frozen=True)
class _Steps:
    """The valid steps of a batch, flat: ``(B, ...)``. Advantages are normalised."""

    observations: Tensor
    actions: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor


class Ppo:
    """One refinement: policy and value function are trained in `env`, which stays frozen.

    `value` has a linear `head`; by default it is a fresh `ValueFunction` of the policy's kind.
    """

    def __init__(
        self,
        policy: GaussianPolicy,
        env: VectorEnv,
        config: PpoConfig,
        demonstrations: DemonstrationSampler | None = None,
        seed: int = 0,
        value: ValueFunction | None = None,
    ):
        torch.manual_seed(seed)
        self.policy, self.env, self.config, self.demonstrations = policy, env, config, demonstrations
        self.value = ValueFunction(policy.config) if value is None else value
        self.pop_art = PopArt(self.value.head) if config.normalise_value else None
        self.start = copy.deepcopy(policy).eval().requires_grad_(False) if config.kl_coefficient else None
        if config.learn_std:
            nn.init.constant_(policy.log_std, float(torch.tensor(config.std).log()))
        parameters = [p for name, p in policy.named_parameters() if name != "log_std" or config.learn_std]
        self.policy_optimizer = torch.optim.Adam(parameters, lr=config.policy_learning_rate, eps=1e-5)
        self.value_optimizer = torch.optim.Adam(self.value.parameters(), lr=config.value_learning_rate, eps=1e-5)
        self.generator = torch.Generator().manual_seed(seed)
        self._fixed_std = torch.full_like(policy.std.detach(), config.std)
        self.iteration = 0

    @property
    def std(self) -> Tensor:
        """``(A,)`` standard deviation of the exploration."""
        return self.policy.log_std.exp() if self.config.learn_std else self._fixed_std

    def values(self, observations: Tensor) -> Tensor:
        """``(B,)`` expected discounted rewards."""
        output = self.value(observations)
        return output if self.pop_art is None else self.pop_art.denormalise(output)

    def iterate(self) -> dict[str, float]:
        """Dream one batch and learn from it; returns what to log."""
        config, std = self.config, self.std.detach().clone()
        batch = collect(self.env, self.policy, self.values, config.horizon, std, self.generator)
        advantage, returns = generalized_advantage(batch, config.gamma, config.gae_lambda)
        valid = batch.valid
        columns = (batch.observations, batch.actions, batch.log_prob, advantage, returns)
        observations, actions, log_prob, advantage, returns = (column[valid] for column in columns)
        explained = explained_variance(batch.values[valid], returns)
        if self.pop_art is not None:
            self.pop_art.update(returns)
            returns = self.pop_art.normalise(returns)
        warming_up = self.iteration < config.value_warm_up
        log = self._update(
            _Steps(observations, actions, log_prob, normalise(advantage), returns), policy_too=not warming_up
        )
        self.iteration += 1
        return {
            "iteration": self.iteration,
            "imagined_success": batch.success,
            "explained_variance": explained,
            "entropy": float(Normal(torch.zeros_like(std), std).entropy().sum()),
            "std": float(std.mean()),
            **log,
        }

    def _update(self, steps: _Steps, policy_too: bool) -> dict[str, float]:
        """Several epochs over the batch; the policy's part ends where it has gone too far, the value function's not."""
        values: list[float] = []
        taken: list[dict[str, float]] = []
        for _ in range(self.config.epochs):
            for rows in torch.randperm(len(steps.actions), generator=self.generator).split(self.config.minibatch_size):
                values.append(self._value_step(steps, rows))
                found = self._policy_step(steps, rows) if policy_too else None
                policy_too = found is not None
                taken += [found] if found else []
        names = ("policy_loss", "clip_fraction", "bc_loss", "anchor_kl")
        means = {name: sum(found[name] for found in taken) / max(len(taken), 1) for name in names}
        largest_kl = max((found["approx_kl"] for found in taken), default=0.0)
        return means | {
            "value_loss": sum(values) / len(values),
            "approx_kl": largest_kl,
            "policy_updates": len(taken),
        }

    def _value_step(self, steps: _Steps, rows: Tensor) -> float:
        """One step of the value function on `rows`; returns its loss."""
        loss = 0.5 * (self.value(steps.observations[rows]) - steps.returns[rows]).square().mean()
        self._descend(self.value_optimizer, loss, self.value)
        return float(loss.detach())

    def _policy_step(self, steps: _Steps, rows: Tensor) -> dict[str, float] | None:
        """One step of the policy on `rows`; None, and no step, where the KL from the acting policy is too large."""
        config = self.config
        distribution = self.policy.distribution(steps.observations[rows], self.std)
        log_ratio = distribution.log_prob(steps.actions[rows]).sum(-1) - steps.log_prob[rows]
        objective = clipped_objective(log_ratio, steps.advantage[rows], config.clip)
        if objective.approx_kl > config.target_kl:
            return None
        bc_loss, entropy = self._bc_loss(), distribution.entropy().sum(-1).mean()
        loss = -objective.gain.mean() + config.bc_coefficient * bc_loss - config.entropy_coefficient * entropy
        anchor_kl = torch.zeros(())
        if self.start is not None:
            start = self.start.distribution(steps.observations[rows], self.std)
            anchor_kl = kl_divergence(distribution, start).sum(-1).mean()
            loss = loss + config.kl_coefficient * anchor_kl
        self._descend(self.policy_optimizer, loss, self.policy)
        self._bound_std()
        return {
            "policy_loss": float(loss.detach()),
            "approx_kl": objective.approx_kl,
            "clip_fraction": objective.clip_fraction,
            "bc_loss": float(bc_loss.detach()),
            "anchor_kl": float(anchor_kl.detach()),
        }

    def _bc_loss(self) -> Tensor:
        if self.demonstrations is None or self.config.bc_coefficient == 0:
            return torch.zeros(())
        frames, actions = self.demonstrations(self.config.bc_batch_size)
        return -self.policy.distribution(frames, self.std).log_prob(actions).sum(-1).mean()

    @torch.no_grad()
    def _bound_std(self) -> None:
        """Project instead of clamping on the way: a standard deviation at its bound keeps its gradient."""
        if self.config.learn_std:
            low, high = torch.tensor([self.config.min_std, self.config.max_std]).log()
            self.policy.log_std.clamp_(low, high)

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

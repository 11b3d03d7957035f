"""Proximal policy optimisation (Schulman et al. 2017) on imagined roll-outs, and what holds it to the real data."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from world4rl_policy.actor_critic import GaussianPolicy, ValueFunction
from world4rl_policy.advantage import explained_variance, generalized_advantage, normalise
from world4rl_policy.minibatches import Minibatches
from world4rl_policy.ppo_config import PpoConfig
from world4rl_policy.ppo_loss import clipped_objective
from world4rl_policy.rollouts import RolloutBatch, VectorEnv, collect
from world4rl_policy.self_imitation import VerifiedSuccesses
from world4rl_policy.value_normalisation import PopArt
from world4rl_wm.precision import autocast, storage_format
from world4rl_wm.training.share import Share
from world4rl_wm.training.state import Remembers, TrainingState

DemonstrationSampler = Callable[[int], tuple[Tensor, ...]]
"""Size to frames ``(size, history, C, H, W)``, actions ``(size, A)`` and, for a policy that is told, tasks ``(size,)``,
the same in all processes."""


@dataclass(frozen=True)
class _Steps:
    """Steps that this process has practised: ``(B, ...)``. Advantages are normalised over the steps of all; `tasks` are
    numbers, None for a policy that is not told."""

    observations: Tensor
    actions: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    tasks: Tensor | None = None

    def at(self, rows: Tensor) -> _Steps:
        """Those of some rows."""
        columns = vars(self).items()
        return _Steps(**{name: None if column is None else column.index_select(0, rows) for name, column in columns})


class Ppo:
    """One refinement: policy and value function are trained in `env`, which stays frozen.

    `value` has a linear `head`; by default it is a fresh `ValueFunction` of the policy's kind. Everything is computed
    on the policy's device, the encoders in bfloat16 where that is native. With a `share`, several processes practise in
    parts of one batch: losses are sums over a process's steps, divided by those of all, so that the sum of all
    gradients is that of the whole batch.

    Attributes:
        policy: the one that learns.
        averaged: an exponential moving average of its weights over the iterations (Polyak averaging), which swings less
            from iteration to iteration; nothing learns from it.
    """

    def __init__(
        self,
        policy: GaussianPolicy,
        env: VectorEnv,
        config: PpoConfig,
        demonstrations: DemonstrationSampler | None = None,
        seed: int = 0,
        value: ValueFunction | None = None,
        share: Share = Share(),  # noqa: B008 (frozen)
    ):
        torch.manual_seed(seed)
        self.policy, self.env, self.config, self.demonstrations = policy, env, config, demonstrations
        self.share, self.device = share, next(policy.parameters()).device
        if value is None:
            with torch.device("cpu"):  # the same start on every device
                value = ValueFunction(policy.config)
        self.value = value.to(self.device)
        self.pop_art = PopArt(self.value.head) if config.normalise_value else None
        self.start = copy.deepcopy(policy).eval().requires_grad_(False) if config.kl_coefficient else None
        if config.learn_std:
            nn.init.constant_(policy.log_std, float(torch.tensor(config.std, device="cpu").log()))
        parameters = [p for name, p in policy.named_parameters() if name != "log_std" or config.learn_std]
        self.policy_optimizer = torch.optim.Adam(parameters, lr=config.policy_learning_rate, eps=1e-5, fused=True)
        self.value_optimizer = torch.optim.Adam(
            self.value.parameters(), lr=config.value_learning_rate, eps=1e-5, fused=True
        )
        self._average = AveragedModel(policy, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay)).requires_grad_(False)
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self._fixed_std = torch.full_like(policy.std.detach(), config.std)
        self.successes = VerifiedSuccesses() if config.imagined_bc else None
        self.iteration = 0

    @property
    def averaged(self) -> GaussianPolicy:
        return self._average.module

    @property
    def std(self) -> Tensor:
        """``(A,)`` standard deviation of the exploration."""
        return self.policy.log_std.exp() if self.config.learn_std else self._fixed_std

    def values(self, observations: Tensor, tasks: Tensor | None = None) -> Tensor:
        """``(B,)`` expected discounted rewards."""
        output = self.value(observations, tasks)
        return output if self.pop_art is None else self.pop_art.denormalise(output)

    def training_state(self, generators: dict[str, torch.Generator], notes: dict[str, Remembers]) -> TrainingState:
        """All that goes on from iteration to iteration, with what the caller adds to it by name."""
        model = nn.ModuleDict({"policy": self.policy, "value": self.value, "average": self._average})
        return TrainingState(
            model,
            self.policy_optimizer,
            step=self.iteration,
            generators={"ppo": self.generator, **generators},
            optimizers={"value": self.value_optimizer},
            notes={"ppo": self, **notes},
            kept={} if self.successes is None else {"successes": self.successes},
        )

    def state_dict(self) -> dict[str, Any]:
        """What it remembers beside weights and random numbers, as JSON."""
        return {"iteration": self.iteration, "returns": self.pop_art.state_dict() if self.pop_art else None}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        self.iteration = values["iteration"]
        if self.pop_art is not None:
            self.pop_art.load_state_dict(values["returns"])

    def iterate(self) -> dict[str, float]:
        """Dream one batch and learn from it; returns what to log.

        That is the same in all processes but for `dream_s` and `learn_s`, seconds of the wall clock: the roll-outs,
        with what policy and value function say on the way, and everything else.
        """
        std, started = self.std.detach().clone(), self._seconds()
        batch = collect(self.env, self.policy, self.values, self.config.horizon, std, self.generator, self.share)
        dreamed = self._seconds()
        if self.successes is not None:
            self.successes.add(batch, self.iteration, self.share)
        log = self._learn(batch)
        log |= {} if self.successes is None else {"imagined_imitated": len(self.successes)}
        self._average.update_parameters(self.policy)
        self.iteration += 1
        return {
            "iteration": self.iteration,
            **log,
            "entropy": float(Normal(torch.zeros_like(std), std).entropy().sum()),
            "std": float(std.mean()),
            "dream_s": round(dreamed - started, 4),
            "learn_s": round(self._seconds() - dreamed, 4),
        }

    def _learn(self, own: RolloutBatch) -> dict[str, float]:
        """From the roll-outs of this process and what the others know of theirs; returns what to log."""
        config, batch = self.config, own.of_all(self.share)
        advantage, returns = generalized_advantage(batch, config.gamma, config.gae_lambda)
        advantage[batch.valid] = normalise(advantage[batch.valid])
        explained = explained_variance(batch.values[batch.valid], returns[batch.valid])
        if self.pop_art is not None:
            self.pop_art.update(returns[batch.valid])
            returns = self.pop_art.normalise(returns)
        here = (self.share.keep(column, dim=1) for column in (advantage, returns))
        columns = (own.observations, own.actions, own.log_prob, *here)
        steps = _Steps(*(column.flatten(0, 1) for column in columns))  # pixels are not copied
        if own.tasks is not None:
            steps = replace(steps, tasks=own.tasks.expand_as(own.log_prob).flatten())
        minibatches = Minibatches(batch.valid, self.share)
        learned = self._update(steps, minibatches, policy_too=self.iteration >= config.value_warm_up)
        return {"imagined_success": batch.success, "explained_variance": explained, **learned}

    def _update(self, steps: _Steps, minibatches: Minibatches, policy_too: bool) -> dict[str, float]:
        """Several epochs over the batch; the policy's part ends where it has gone too far, the value function's not."""
        values: list[float] = []
        taken: list[dict[str, float]] = []
        for _ in range(self.config.epochs):
            for rows, size in minibatches.epoch(self.config.minibatch_size, self.generator):
                minibatch = steps.at(rows)
                values.append(self._value_step(minibatch, size))
                found = self._policy_step(minibatch, size) if policy_too else None
                policy_too = found is not None
                taken += [found] if found else []
        names = ("policy_loss", "bc_loss", "anchor_kl", "clip_fraction")
        *losses, clipped = (sum(found[name] for found in taken) / max(len(taken), 1) for name in names)
        parts = dict(zip(names, losses)) | {"value_loss": sum(values) / len(values)}
        return self.share.sums(parts) | {
            "clip_fraction": clipped,
            "approx_kl": max((found["approx_kl"] for found in taken), default=0.0),
            "policy_updates": len(taken),
        }

    def _value_step(self, steps: _Steps, size: int) -> float:
        """One step of the value function on a minibatch of `size` steps, these among them; their part of its loss."""
        with autocast(self.device):
            values = self.value(steps.observations, steps.tasks)
        loss = 0.5 * ((values - steps.returns).square().sum() / size)
        self._descend(self.value_optimizer, loss, self.value)
        return float(loss.detach())

    def _policy_step(self, steps: _Steps, size: int) -> dict[str, float] | None:
        """One step of the policy, as above; None, and no step, where the KL from the acting policy is too large."""
        config = self.config
        with autocast(self.device):
            distribution = self.policy.distribution(steps.observations, self.std, steps.tasks)
        log_ratio = distribution.log_prob(steps.actions).sum(-1) - steps.log_prob
        objective = clipped_objective(log_ratio, steps.advantage, config.clip)
        gone = torch.stack([objective.kl.sum(), objective.clipped.sum()])
        approx_kl, clip_fraction = (self.share.sum(gone) / size).tolist()
        if approx_kl > config.target_kl:
            return None
        bc_loss, entropy = self._bc_loss(), distribution.entropy().sum(-1).sum() / size
        gain = objective.gain.sum() / size
        loss = -gain + config.bc_coefficient * bc_loss - config.entropy_coefficient * entropy
        anchor_kl = torch.zeros((), device=self.device)
        if self.start is not None:
            with autocast(self.device):
                start = self.start.distribution(steps.observations, self._fixed_std, steps.tasks)
            anchor_kl = kl_divergence(distribution, start).sum(-1).sum() / size
            loss = loss + config.kl_coefficient * anchor_kl
        self._descend(self.policy_optimizer, loss, self.policy)
        self._bound_std()
        return {
            "policy_loss": float(loss.detach()),
            "approx_kl": approx_kl,
            "clip_fraction": clip_fraction,
            "bc_loss": float(bc_loss.detach()),
            "anchor_kl": float(anchor_kl.detach()),
        }

    def _bc_loss(self) -> Tensor:
        """This process's part of the loss of one batch to imitate."""
        if self.demonstrations is None or self.config.bc_coefficient == 0:
            return torch.zeros((), device=self.device)
        frames, actions, *tasks = self._imitated(self.demonstrations)
        with autocast(self.device):
            distribution = self.policy.distribution(self.share.keep(frames), self.std, *map(self.share.keep, tasks))
        return -(distribution.log_prob(self.share.keep(actions)).sum(-1).sum() / len(actions))

    def _imitated(self, demonstrations: DemonstrationSampler) -> tuple[Tensor, ...]:
        """A batch of `demonstrations` and, where there are any, of the policy's own verified successes."""
        size, own = self.config.bc_batch_size, self.config.imagined_batch_size
        if not self.successes:
            return demonstrations(size)
        frames, *others = demonstrations(size - own)
        real = self.policy.patches(frames.to(storage_format(self.device))), *others
        imagined = self.successes.sample(own, self.generator, self.device)
        return tuple(torch.cat(columns) for columns in zip(real, imagined, strict=True))

    @torch.no_grad()
    def _bound_std(self) -> None:
        """Project instead of clamping on the way: a standard deviation at its bound keeps its gradient."""
        if self.config.learn_std:
            low, high = torch.tensor([self.config.min_std, self.config.max_std], device=self.device).log()
            self.policy.log_std.clamp_(low, high)

    def _descend(self, optimizer: torch.optim.Optimizer, loss: Tensor, module: torch.nn.Module) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.share.sum_gradients(module.parameters())
        torch.nn.utils.clip_grad_norm_(module.parameters(), self.config.max_grad_norm)
        optimizer.step()

    def _seconds(self) -> float:
        """The wall clock once the device has done what it was told."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return time.perf_counter()


@torch.no_grad()
def start_kl(
    policy: GaussianPolicy, start: GaussianPolicy, frames: Tensor, std: float, tasks: Tensor | None = None
) -> float:
    """Mean KL(policy || start) on `frames` at exploration noise `std`: how far refinement has gone."""
    spread = torch.full_like(policy.std, std)
    now, before = (who.distribution(frames, spread, tasks) for who in (policy, start))
    return float(kl_divergence(now, before).sum(-1).mean())

"""A policy that is told proprioception besides its pictures: network, behaviour cloning, evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import torch
from refinement_parts.transitions import split_encoder
from torch import Tensor, nn
from torch.distributions import Normal

from world4rl.episodes.collect import Evaluation, frame_of
from world4rl.episodes.simulation import make_env
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import BcOptimisation, Demonstrations, random_shift
from world4rl_sim.task_env import TaskEnv
from world4rl_wm.model.frames import to_float

LAST = 50
"""Steps at the end of a training over which its loss is averaged."""


class TellProprioception(nn.Module):
    """`policy` with proprioception laid beside the features of its convolutions, where its hidden layer begins.

    Only what is measured with the newest frame is told: earlier values would say how the arm has just moved.

    Args:
        mean, std: ``(P,)`` of the proprioception that is learned from.
    """

    proprio_mean: Tensor
    proprio_std: Tensor

    def __init__(self, policy: GaussianPolicy, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.policy = policy
        self.convolutions, hidden = split_encoder(policy)
        self.features, self.rest = hidden[0], hidden[1:]
        # One linear layer of both laid end to end, as the sum of two: the features' weights stay those of `policy`. The
        # others begin as small as theirs: those of a layer of its own would drown the pictures.
        bound = (self.features.in_features + len(mean)) ** -0.5
        self.measured = nn.Linear(len(mean), policy.config.hidden, bias=False)
        nn.init.uniform_(self.measured.weight, -bound, bound)
        self.register_buffer("proprio_mean", mean)
        self.register_buffer("proprio_std", std)

    def forward(self, frames: Tensor, proprio: Tensor, kept: Tensor | float = 1.0) -> Tensor:
        """Mean action ``(B, A)`` for frames ``(B, T, C, H, W)`` in [-1, 1] and proprioception ``(B, P)`` as measured.

        `kept` ``(B, 1)``: 0 where the proprioception is blanked, which is to say that it is the mean; 1 elsewhere.
        """
        told = kept * (proprio - self.proprio_mean) / self.proprio_std
        hidden = self.features(self.convolutions(frames.flatten(1, 2))) + self.measured(told)
        return torch.tanh(self.policy.mean(self.rest(hidden)))


def train(
    demonstrations: Demonstrations, network: TellProprioception, config: BcOptimisation, blank: float, seed: int
) -> float:
    """As `world4rl_policy.bc.train_bc`, on the same batches, with the proprioception of a share `blank` of the examples
    blanked; returns the loss at the end.

    What is blanked is drawn apart: whatever the share, the pictures are the same. With a share of 1 the policy inside
    becomes what `train_bc` makes of it without early stopping, but for its standard deviation, which has no say here.
    """
    generator, blanks = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps, eta_min=config.learning_rate / 20)
    windows, rows, losses = demonstrations.windows, demonstrations.rows, []
    network.train()
    for _ in range(config.steps):
        drawn = rows[torch.randint(len(rows), (config.batch_size,), generator=generator)]
        frames = random_shift(to_float(windows.frames[windows.past(drawn)]), config.shift, generator)
        kept = (torch.rand(config.batch_size, 1, generator=blanks) >= blank).float()
        mean = network(frames, windows.proprio[drawn], kept)
        loss = -Normal(mean, network.policy.std.expand_as(mean)).log_prob(windows.actions[drawn]).sum(-1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    network.eval().requires_grad_(False)
    return float(np.mean(losses[-LAST:]))


def statistics(demonstrations: Demonstrations) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``(P,)`` of the proprioception that is learned from."""
    learned = demonstrations.windows.proprio[demonstrations.rows]
    return learned.mean(0), learned.std(0).clamp(min=1e-3)


def evaluate(task: str, contract: TaskContract, network: TellProprioception, seeds: Sequence[int]) -> Evaluation:
    """As `world4rl.episodes.collect.evaluate`, in this process: success of the mean action on the start states `seeds`.

    Episodes end at their success, for nothing is recorded.
    """
    with closing(make_env(task, contract)) as env:
        success, steps = zip(*(_episode(env, network, seed) for seed in seeds), strict=True)
    return Evaluation(list(seeds), list(success), list(steps))


@torch.no_grad()
def _episode(env: TaskEnv, network: TellProprioception, seed: int) -> tuple[bool, int]:
    """Whether it succeeded, and its actions."""
    observation, info = env.reset(seed=seed)
    past = [frame_of(observation, env.contract)] * network.policy.history
    steps, truncated = 0, False
    while not (info["success"] or truncated):
        frames = to_float(torch.from_numpy(np.stack(past))).unsqueeze(0)
        action = network(frames, torch.from_numpy(observation["proprio"]).unsqueeze(0))[0]
        observation, _, _, truncated, info = env.step(action.numpy(), ActionSource.POLICY)
        past = [*past[1:], frame_of(observation, env.contract)]
        steps += 1
    return bool(info["success"]), steps

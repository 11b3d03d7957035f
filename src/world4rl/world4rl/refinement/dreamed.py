"""Policies in dreams, without learning: which start states they solve there, and how sure the dream is of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.model.frames import StartStates
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.reward.task_rewards import TaskRewards
from world4rl_wm.training.share import Share


@dataclass(frozen=True)
class Dreamer:
    """A world model with the reward model that judges its dreams, or those of several tasks."""

    world_model: WorldModel
    reward_model: RewardModel | TaskRewards


def dreams_of_all(
    policy: GaussianPolicy,
    dreamer: Dreamer,
    starts: StartStates,
    config: ImaginationConfig,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> tuple[ImaginationEnv, Tensor]:
    """Dreams for the policy that have just begun at every one of `starts`, and their first observation; success alone
    counts there."""
    config = replace(config, num_envs=len(starts), max_uncertainty=None, uncertainty_penalty=0.0, progress_reward=0.0)
    config = replace(config, key_frames=0.0, observed_frames=policy.history)  # no key frame is drawn
    env = ImaginationEnv([dreamer.world_model], [dreamer.reward_model], starts, config, share=share)
    observation, _ = env.reset(seed=0, rows=torch.arange(len(starts), device="cpu"))
    return env, observation


@torch.no_grad()
def dreamed_outcomes(
    policy: GaussianPolicy,
    dreamer: Dreamer,
    starts: StartStates,
    config: ImaginationConfig,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> tuple[Tensor, Tensor]:
    """Dreams of the policy's mean actions from every one of `starts`: success, bool ``(N,)``, and the belief in it.

    The belief ``(N,)`` in [0, 1] is the success probability that `hits` frames in a row reach: a dream succeeds where
    it is above the reward model's threshold. Both lie in the CPU's memory. Policy and dreamer are on one device; of
    several processes each dreams its `share`, or everything where the starts cannot be dealt out evenly.
    """
    if len(starts) % share.count:
        share = Share()
    env, observation = dreams_of_all(policy, dreamer, starts, config, share)
    tasks = policy.task_numbers(env.tasks)
    success = torch.zeros(env.num_envs, dtype=torch.bool, device=observation.device)
    probabilities = []
    for _ in range(config.max_steps):
        observation, _, terminated, _, info = env.step(policy.act(observation, tasks=tasks))
        success |= terminated
        probabilities.append(info["probability"])
    belief = torch.stack(probabilities).unfold(0, config.hits, 1).amin(-1).amax(0)
    return share.gather(success).cpu(), share.gather(belief).cpu()


def dreamed_success(
    policy: GaussianPolicy,
    dreamer: Dreamer,
    starts: StartStates,
    config: ImaginationConfig,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> float:
    """Success of the policy's mean actions in dreams from every one of `starts`; all processes get the same number.

    The policy may be on another device than the dreamer, and stays there.
    """
    policy = copy.deepcopy(policy).to(dreamer.world_model.device)
    return share.agreed(float(dreamed_outcomes(policy, dreamer, starts, config, share)[0].double().mean()))

"""Roll-outs of the world model for people and services: "what would happen if"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from world4rl_wm.dream import Dream
from world4rl_wm.frames import to_uint8
from world4rl_wm.protocols import Policy
from world4rl_wm.reward import RewardModel
from world4rl_wm.world_model import WorldModel


@dataclass(frozen=True)
class Rollout:
    """S imagined futures of H steps.

    `frames` uint8 ``(S, H, C, Y, X)``; `success_probability` ``(S, H)`` in [0, 1]; `actions` ``(S, H, A)``;
    `uncertainty` ``(S, H)``: standard deviation [0..1 of the pixel range] between the S samples of one question, 0 for
    a single sample or for samples under different actions.
    """

    frames: Tensor
    success_probability: Tensor
    uncertainty: Tensor
    actions: Tensor


def sample_spread(frames: Tensor) -> Tensor:
    """How far the samples of one step, ``(S, C, H, W)``, lie apart: standard deviation [0..1 of the pixel range]."""
    return frames.std(0, unbiased=False).mean() / 2


def imagine(
    world_model: WorldModel,
    reward_model: RewardModel,
    context: Tensor,
    context_actions: Tensor,
    actions: Tensor | None,
    horizon: int,
    seed: int,
    policy: Policy | None = None,
    on_step: Callable[[int, Tensor], bool] | None = None,
    proprio: Tensor | None = None,
) -> Rollout:
    """Dream `horizon` steps ahead.

    Args:
        context: ``(S, 4, C, H, W)`` in [-1, 1]; context_actions: ``(S, 3, A)``.
        actions: ``(S, horizon, A)`` in [-1, 1], or None to let `policy` act.
        on_step: called with the step (from 1) and the frame; returning False stops the dream there.
        proprio: ``(S, 2, P)`` measured in the last two frames; None: estimated from the frames.

    Raises:
        ValueError: neither or both of actions and policy, or shapes that do not fit.
    """
    if (actions is None) == (policy is None):
        raise ValueError("give either actions or a policy to dream with")
    if actions is not None and actions.shape[:2] != (len(context), horizon):
        raise ValueError(f"actions must be ({len(context)}, {horizon}, A), got {tuple(actions.shape)}")
    dream = Dream(world_model, context, context_actions, seed, proprio)
    frames, probabilities, spread, done = [], [], [], []
    for step in range(horizon):
        if actions is not None:
            action = actions[:, step]
        else:
            assert policy is not None  # checked above
            action = policy.act(dream.context[:, -policy.history :])
        frame = dream.step(action)
        frames.append(to_uint8(frame))
        probabilities.append(reward_model.probability(frame))
        spread.append(sample_spread(frame).expand(len(frame)))
        done.append(action)
        if on_step is not None and not on_step(step + 1, frame):
            break
    return Rollout(torch.stack(frames, 1), torch.stack(probabilities, 1), torch.stack(spread, 1), torch.stack(done, 1))

"""Roll-outs of the world model for people and services: "what would happen if"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from world4rl_wm.disagreement import SecondOpinion, disagreement
from world4rl_wm.dream import Dream
from world4rl_wm.frames import to_uint8
from world4rl_wm.protocols import Policy
from world4rl_wm.reward import RewardModel
from world4rl_wm.world_model import WorldModel


@dataclass(frozen=True)
class Rollout:
    """S imagined futures of H steps.

    `frames` uint8 ``(S, H, C, Y, X)``, H = 0 where they were not kept; `success_probability` ``(S, H)`` in [0, 1];
    `actions` ``(S, H, A)``; `uncertainty` ``(S, H)`` [0..1 of the pixel range]: how far two world models' predictions
    of a step lie apart where there is a second one, else `sample_spread`, else (one sample) 0: not estimated.
    """

    frames: Tensor
    success_probability: Tensor
    uncertainty: Tensor
    actions: Tensor


@dataclass(frozen=True)
class DreamStep:
    """What step `number` (from 1) brought to each of the S dreams; the fields are those of `Rollout`, one step of them.

    `proprio` ``(S, P)`` is predicted proprioception, None where the world model has no state model.
    """

    number: int
    frames: Tensor
    success_probability: Tensor
    uncertainty: Tensor
    proprio: Tensor | None


def sample_spread(frames: Tensor) -> Tensor:
    """How far the samples of one step, ``(S, C, H, W)``, lie apart: standard deviation [0..1 of the pixel range].

    It tells how much the noise decides, not what the model never learned. Where a policy acts, the samples' actions
    differ too, and what follows from that is in it.
    """
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
    on_step: Callable[[DreamStep], bool] | None = None,
    proprio: Tensor | None = None,
    on_start: Callable[[Dream], None] | None = None,
    second: WorldModel | None = None,
    keep_frames: bool = True,
) -> Rollout:
    """Dream `horizon` steps ahead.

    Args:
        context: ``(S, 4, C, H, W)`` in [-1, 1]; context_actions: ``(S, 3, A)``.
        actions: ``(S, horizon, A)`` in [-1, 1], or None to let `policy` act.
        on_step: called after each step; returning False stops the dream there.
        proprio: ``(S, 2, P)`` measured in the last two frames; None: estimated from the frames.
        on_start: called with the dream before its first step.
        second: another world model, asked about each step for the uncertainty.
        keep_frames: False leaves `Rollout.frames` without steps, for long dreams that only `on_step` looks at.

    Raises:
        ValueError: neither or both of actions and policy, or shapes that do not fit.
    """
    if (actions is None) == (policy is None):
        raise ValueError("give either actions or a policy to dream with")
    if actions is not None and actions.shape[:2] != (len(context), horizon):
        raise ValueError(f"actions must be ({len(context)}, {horizon}, A), got {tuple(actions.shape)}")
    dream = Dream(world_model, context, context_actions, seed, proprio)
    opinion = None if second is None else SecondOpinion(second)
    if on_start is not None:
        on_start(dream)
    frames, numbers, done = [], [], []
    for number in range(1, horizon + 1):
        action = _action(dream, number, actions, policy)
        step = _step(dream, number, action, reward_model, opinion)
        if keep_frames:
            frames.append(step.frames)
        numbers.append((step.success_probability, step.uncertainty))
        done.append(action)
        if on_step is not None and not on_step(step):
            break
    none = torch.zeros((len(context), 0, *context.shape[2:]), dtype=torch.uint8, device=context.device)
    probability, uncertainty = (torch.stack(values, 1) for values in zip(*numbers, strict=True))
    return Rollout(torch.stack(frames, 1) if frames else none, probability, uncertainty, torch.stack(done, 1))


def _action(dream: Dream, number: int, actions: Tensor | None, policy: Policy | None) -> Tensor:
    if actions is not None:
        return actions[:, number - 1]
    assert policy is not None  # one of the two is given
    return policy.act(dream.context[:, -policy.history :])


def _step(
    dream: Dream, number: int, action: Tensor, reward_model: RewardModel, opinion: SecondOpinion | None
) -> DreamStep:
    other = None if opinion is None else opinion.predict(dream, action)
    frame = dream.step(action)
    unsure = sample_spread(frame).expand(len(frame)) if other is None else disagreement(frame, other)
    proprio = None if dream.proprio is None else dream.proprio[:, -1]
    return DreamStep(number, to_uint8(frame), reward_model.probability(frame), unsure, proprio)

"""Roll-outs of the world model for people and services: "what would happen if"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.dream_stream import DreamStep, DreamStream, Judge
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.protocols import Policy
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.kind import UncertaintyKind


@dataclass(frozen=True)
class Rollout:
    """S imagined futures of H steps.

    `frames` uint8 ``(S, H, C, Y, X)``, H = 0 where they were not kept; `success_probability` ``(S, H)`` in [0, 1];
    `actions` ``(S, H, A)``; `uncertainty` ``(S, H)`` [0..1 of the pixel range], which is what `uncertainty_kind` says:
    an expected error, an uncalibrated disagreement, or 0 because it is not estimated; `progress` ``(S, H)`` in [0, 1],
    how far the task is, NaN where the reward model has not learned that.
    """

    frames: Tensor
    success_probability: Tensor
    uncertainty: Tensor
    actions: Tensor
    uncertainty_kind: UncertaintyKind
    progress: Tensor


def imagine(
    world_model: WorldModel,
    reward_model: Judge,
    context: Tensor,
    context_actions: Tensor,
    actions: Tensor | None,
    horizon: int,
    seed: int,
    policy: Policy | None = None,
    on_step: Callable[[DreamStep], bool] | None = None,
    proprio: Tensor | None = None,
    on_start: Callable[[Dream], None] | None = None,
    ensemble: Ensemble | None = None,
    keep_frames: bool = True,
    tasks: Sequence[str] | None = None,
) -> Rollout:
    """Dream `horizon` steps ahead.

    Args:
        context: ``(S, 4, C, H, W)`` in [-1, 1]; context_actions: ``(S, 3, A)``.
        actions: ``(S, horizon, A)`` in [-1, 1], or None to let `policy` act.
        on_step: called after each step; returning False stops the dream there.
        proprio: ``(S, 2, P)`` measured in the last two frames; None: estimated from the frames.
        on_start: called with the dream before its first step.
        ensemble: who dreams along for the uncertainty.
        keep_frames: False leaves `Rollout.frames` without steps, for long dreams that only `on_step` looks at.
        tasks: of each of the S dreams, for a world model that is told; None: it is not told.

    Raises:
        ValueError: neither or both of actions and policy, or shapes that do not fit.
    """
    if (actions is None) == (policy is None):
        raise ValueError("give either actions or a policy to dream with")
    if actions is not None and actions.shape[:2] != (len(context), horizon):
        raise ValueError(f"actions must be ({len(context)}, {horizon}, A), got {tuple(actions.shape)}")
    ensemble = ensemble or Ensemble()
    dream = Dream(world_model, context, context_actions, seed, proprio, tasks)
    stream = DreamStream(dream, reward_model, ensemble)
    if on_start is not None:
        on_start(dream)
    frames, numbers, done = [], [], []
    for number in range(horizon):
        action = _action(dream, number, actions, policy)
        step = stream.step(action)
        if keep_frames:
            frames.append(step.frames)
        numbers.append((step.success_probability, step.uncertainty, step.progress))
        done.append(action)
        if on_step is not None and not on_step(step):
            break
    none = torch.zeros((len(context), 0, *context.shape[2:]), dtype=torch.uint8, device=context.device)
    probability, uncertainty, progress = (torch.stack(values, 1) for values in zip(*numbers, strict=True))
    dreamed = torch.stack(frames, 1) if frames else none
    return Rollout(dreamed, probability, uncertainty, torch.stack(done, 1), ensemble.kind, progress)


def likeness(world_model: WorldModel, rollout: Rollout) -> str:
    """What is to be said of several dreams of the same actions by a world model that repeats itself; else empty."""
    actions = rollout.actions
    if len(actions) == 1 or not world_model.repeats_itself or not torch.allclose(actions, actions[:1], atol=1e-5):
        return ""
    return "all dreams are alike: this world model samples from no noise (world_model.edm.noise_scale 0)"


def _action(dream: Dream, number: int, actions: Tensor | None, policy: Policy | None) -> Tensor:
    if actions is not None:
        return actions[:, number]
    assert policy is not None  # one of the two is given
    return policy.act(dream.context[:, -policy.history :])

"""Roll-outs of the world model for people and services: "what would happen if"."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.dream_start import DreamStart
from world4rl_wm.imagination.dream_stream import DreamStream, Judge, Watch
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
    start: DreamStart,
    actor: Tensor | Policy,
    horizon: int,
    ensemble: Ensemble = Ensemble(),  # noqa: B008 (frozen)
    watch: Watch = Watch(),  # noqa: B008 (frozen)
    keep_frames: bool = True,
) -> Rollout:
    """Dream `horizon` steps ahead from the S dreams of `start`.

    Args:
        actor: a policy, or the actions to do, ``(S, horizon, A)`` in [-1, 1].
        ensemble: who dreams along for the uncertainty.
        keep_frames: False leaves `Rollout.frames` without steps, for long dreams that only the watch looks at.

    Raises:
        ValueError: shapes that do not fit.
    """
    if isinstance(actor, Tensor) and actor.shape[:2] != (len(start), horizon):
        raise ValueError(f"actions must be ({len(start)}, {horizon}, A), got {tuple(actor.shape)}")
    frames, numbers, done = [], [], []
    try:
        dream = Dream(world_model, start.frames, start.actions, start.seed, start.proprio, start.tasks)
        stream = DreamStream(dream, reward_model, ensemble)
        watch.start(dream)
        for number in range(horizon):
            action = actor[:, number] if isinstance(actor, Tensor) else actor.act(dream.context[:, -actor.history :])
            step = stream.step(action)
            if keep_frames:
                frames.append(step.frames)
            numbers.append((step.success_probability, step.uncertainty, step.progress))
            done.append(action)
            if not watch.step(step):
                break
    finally:
        watch.end()
    none = torch.zeros((len(start), 0, *start.frames.shape[2:]), dtype=torch.uint8, device=start.frames.device)
    probability, uncertainty, progress = (torch.stack(values, 1) for values in zip(*numbers, strict=True))
    dreamed = torch.stack(frames, 1) if frames else none
    return Rollout(dreamed, probability, uncertainty, torch.stack(done, 1), ensemble.kind, progress)


def likeness(world_model: WorldModel, rollout: Rollout) -> str:
    """What is to be said of several dreams of the same actions by a world model that repeats itself; else empty."""
    actions = rollout.actions
    if len(actions) == 1 or not world_model.repeats_itself or not torch.allclose(actions, actions[:1], atol=1e-5):
        return ""
    return "all dreams are alike: this world model samples from no noise (world_model.edm.noise_scale 0)"

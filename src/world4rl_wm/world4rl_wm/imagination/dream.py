"""Stepping the frozen world model forward: the state that a dream carries from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from world4rl_wm.model.frames import StartStates, to_float
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.training.share import Share


class Dream:
    """A batch of running dreams.

    Attributes:
        context: the last frames, ``(B, T, C, H, W)`` in [-1, 1], oldest first; first: the oldest of the beginning.
        actions: the actions between them, ``(B, T - 1, A)``.
        proprio: proprioception in the last two frames, ``(B, 2, P)``; estimated from the frames when it is not given.
        tasks: names of the dreams' tasks, B of them; None: the world model is not told.
        share: of the batch that several processes dream together, with the noise that one process would see.
    """

    def __init__(
        self,
        world_model: WorldModel,
        context: Tensor,
        actions: Tensor | None = None,
        seed: int | None = None,
        proprio: Tensor | None = None,
        tasks: Sequence[str] | None = None,
        share: Share = Share(),  # noqa: B008 (frozen)
    ):
        self.world_model = world_model
        self.share = share
        self.context = context
        self.first = context[:, 0]
        self.tasks = tasks
        self._task = None if tasks is None else world_model.task_vectors(tasks)
        self.proprio = world_model.estimate_proprio(context) if proprio is None else proprio
        shape = (len(context), world_model.history - 1, world_model.config.denoiser.action_dim)
        self.actions = torch.zeros(shape, device=context.device) if actions is None else actions
        if tuple(self.actions.shape) != shape:
            raise ValueError(f"context actions must be {shape}, got {tuple(self.actions.shape)}")
        self.generator = None if seed is None else torch.Generator(context.device).manual_seed(seed)

    @classmethod
    def from_start(
        cls,
        world_model: WorldModel,
        start: StartStates,
        seed: int | None = None,
        share: Share = Share(),  # noqa: B008 (frozen)
    ) -> Dream:
        """Start where episodes begin, or in the middle of them with what led there."""
        device = world_model.device
        frames, done, measured = start.history(world_model.history)
        actions = None if done is None else done.to(device)
        proprio = None if world_model.state_model is None else measured.to(device)
        return cls(world_model, to_float(frames).to(device), actions, seed, proprio, start.tasks.tolist(), share)

    def step(self, action: Tensor) -> Tensor:
        """Do `action` ``(B, A)``; returns the next frame ``(B, C, H, W)``."""
        actions = torch.cat([self.actions, action.unsqueeze(1)], dim=1)
        frame, self.proprio = self.world_model.step(
            self.context, actions, self.proprio, noise=self._noise(), task=self._task, first=self.first
        )
        self.context = torch.cat([self.context[:, 1:], frame.unsqueeze(1)], dim=1)
        self.actions = actions[:, 1:]
        return frame

    def _noise(self) -> Tensor | None:
        """What diffusion starts from, ``(B, C, H, W)``; None: the world model draws it."""
        if self.generator is None:
            return None
        shape = (len(self.context) * self.share.count, *self.context.shape[2:])
        return self.share.keep(torch.randn(shape, device=self.context.device, generator=self.generator))

    def restart(self, which: Tensor, fresh: Dream) -> None:
        """Put the dreams of `fresh` in the places `which`, bool ``(B,)``; the noise goes on."""
        self.context = _put(self.context, which, fresh.context)
        self.first = _put(self.first, which, fresh.first)
        self.actions = _put(self.actions, which, fresh.actions)
        if self.proprio is not None and fresh.proprio is not None:
            self.proprio = _put(self.proprio, which, fresh.proprio)
        if self.tasks is not None and fresh.tasks is not None:
            tasks = iter(fresh.tasks)
            self.tasks = [next(tasks) if new else old for new, old in zip(which.tolist(), self.tasks, strict=True)]
            self._task = self.world_model.task_vectors(self.tasks)


def _put(values: Tensor, which: Tensor, new: Tensor) -> Tensor:
    values = values.clone()
    values[which.to(values.device)] = new
    return values

"""A dream that is watched: each step with its picture, its success probability and its uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.frames import to_uint8
from world4rl_wm.uncertainty.ensemble import Ensemble


class Judge(Protocol):
    """What is asked about success: a reward model."""

    def probability(self, frames: Tensor) -> Tensor:
        """``(S,)`` in [0, 1] for frames ``(S, C, H, W)``."""
        ...

    def progress(self, frames: Tensor) -> Tensor:
        """``(S,)`` in [0, 1], NaN where it does not know: the share of the time to success that has passed."""
        ...


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
    progress: Tensor


@dataclass(frozen=True)
class Watch:
    """Who looks on: `start` comes before the first step, `step` after each (False stops the dream), `end` at last."""

    step: Callable[[DreamStep], bool] = lambda step: True
    start: Callable[[Dream], None] = lambda dream: None
    end: Callable[[], None] = lambda: None


class DreamStream:
    """Steps `dream` one action at a time; the ensemble dreams along from its start."""

    def __init__(self, dream: Dream, judge: Judge, ensemble: Ensemble):
        self.dream = dream
        self.number = 0
        self._judge = judge
        self._companions = ensemble.along(dream)

    def step(self, action: Tensor) -> DreamStep:
        """Do `action` ``(S, A)`` in [-1, 1]."""
        frame = self.dream.step(action)
        self.number += 1
        proprio = None if self.dream.proprio is None else self.dream.proprio[:, -1]
        uncertainty = self._companions.step(action, frame)
        success, progress = self._judge.probability(frame), self._judge.progress(frame)
        return DreamStep(self.number, to_uint8(frame), success, uncertainty, proprio, progress)

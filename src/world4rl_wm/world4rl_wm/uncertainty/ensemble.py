"""Other world models that dream along: where they end up elsewhere, at least one has not learned what happens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.disagreement import disagreement
from world4rl_wm.uncertainty.kind import UncertaintyKind, UncertaintyMap

NOISE_STRIDE = 7_919
"""Between noise seeds: whoever starts several dreams gives them seeds in a row, which must not meet these."""


@dataclass(frozen=True)
class Ensemble:
    """Who dreams along with a world model.

    Attributes:
        models: differently trained world models of the same contract and history.
        noise_dreams: dreams of the dreaming model itself from other noise; they tell what the noise decides, not what
            the model never learned, so they count only where that was measured to predict real error.
        calibration: what their disagreement means; None: not known.
    """

    models: tuple[WorldModel, ...] = ()
    noise_dreams: int = 0
    calibration: UncertaintyMap | None = None

    @property
    def kind(self) -> UncertaintyKind:
        """What the uncertainty of a roll-out with this ensemble says."""
        if not self.models and not self.noise_dreams:
            return UncertaintyKind.NONE
        return UncertaintyKind.DISAGREEMENT if self.calibration is None else UncertaintyKind.EXPECTED_ERROR

    def along(self, dream: Dream) -> Companions:
        """Dreams beside `dream`, which must not have stepped yet."""
        return Companions(self, dream)


class Companions:
    """The ensemble's own dreams, from the start of another dream and with its actions; other models see its noise."""

    def __init__(self, ensemble: Ensemble, dream: Dream):
        self._calibration = ensemble.calibration
        seed = None if dream.generator is None else dream.generator.initial_seed()
        noise = [None if seed is None else seed + NOISE_STRIDE * (i + 1) for i in range(ensemble.noise_dreams)]
        self._dreams = [_same_start(model, dream, seed) for model in ensemble.models]
        self._dreams += [_same_start(dream.world_model, dream, other) for other in noise]

    def step(self, action: Tensor, frame: Tensor) -> Tensor:
        """Uncertainty ``(S,)`` of the `frame` ``(S, C, H, W)`` that `action` ``(S, A)`` led the other dream to."""
        if not self._dreams:
            return torch.zeros(len(frame), device=frame.device)
        apart = disagreement(frame, *(dream.step(action) for dream in self._dreams))
        return apart if self._calibration is None else self._calibration(apart)

    def restart(self, which: Tensor, fresh: Dream) -> None:
        """Follow the other dream, whose samples `which` ``(S,)`` start anew as `fresh`."""
        for dream in self._dreams:
            dream.restart(which, fresh)


def _same_start(model: WorldModel, dream: Dream, seed: int | None) -> Dream:
    return Dream(model, dream.context, dream.actions, seed, dream.proprio, dream.tasks, dream.share)

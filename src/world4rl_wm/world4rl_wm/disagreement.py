"""What a second world model says of the same step: where two disagree, at least one has not learned it."""

from __future__ import annotations

import torch
from torch import Tensor

from world4rl_wm.dream import Dream
from world4rl_wm.world_model import WorldModel


def disagreement(one: Tensor, other: Tensor) -> Tensor:
    """How far two predictions ``(S, C, H, W)`` in [-1, 1] lie apart, ``(S,)``: the mean over all pixels of the two
    values' standard deviation [0..1 of the pixel range].
    """
    return (one - other).abs().flatten(1).mean(1) / 4  # of two values: half their distance; the range is 2 wide


class SecondOpinion:
    """Asks `model` for the next frame of a dream that another model dreams, from the same past and the same noise."""

    def __init__(self, model: WorldModel):
        self.model = model

    def predict(self, dream: Dream, action: Tensor) -> Tensor:
        """The frame ``(S, C, H, W)`` that would follow `action` ``(S, A)``. Ask before the dream itself steps."""
        generator = None
        if dream.generator is not None:
            generator = torch.Generator(dream.context.device)
            generator.set_state(dream.generator.get_state())
        proprio = None
        if self.model.state_model is not None:
            proprio = self.model.estimate_proprio(dream.context) if dream.proprio is None else dream.proprio
        actions = torch.cat([dream.actions, action.unsqueeze(1)], dim=1)
        return self.model.step(dream.context, actions, proprio, generator)[0]

"""Random minibatches of what was practised, whichever process has practised it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from world4rl_wm.training.share import Share


class Minibatches:
    """The valid steps of a batch ``(T, N)`` of all processes, of which this process has its `share` of the N."""

    def __init__(self, valid: Tensor, share: Share):
        place = torch.full(valid.shape, -1, device=valid.device)  # of this process's steps among its own, time first
        own = share.keep(place, dim=1)
        own.copy_(torch.arange(own.numel(), device=valid.device).view_as(own))
        self._place = place[valid]

    def epoch(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, int]]:
        """Each step once, in minibatches of `size`: which of this process's T * n steps, time first, belong to it,
        ``(b,)``, and how many steps it has in all processes. b may be 0.
        """
        order = torch.randperm(len(self._place), generator=generator, device="cpu").to(self._place.device)
        for rows in order.split(size):
            place = self._place[rows]
            yield place[place >= 0], len(rows)

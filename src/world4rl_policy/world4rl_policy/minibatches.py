"""Random minibatches of what was practised, whichever process has practised it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from world4rl_wm.training.share import Share


class Minibatches:
    """The valid steps of a batch ``(T, N)`` of all processes, in one row: ``(B,)``, time first.

    Attributes:
        here: bool ``(B,)``, which of them are this process's; its own steps keep their order.
    """

    def __init__(self, valid: Tensor, share: Share):
        own = torch.zeros_like(valid)
        share.keep(own, dim=1).fill_(True)
        self.here = own[valid]
        self._place = self.here.cumsum(0) - 1

    def __len__(self) -> int:
        return len(self.here)

    def epoch(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, int]]:
        """Each step once, in minibatches of `size`: where this process's steps of it are among its own, ``(b,)``, and
        how many steps the minibatch has in all processes. b may be 0.
        """
        order = torch.randperm(len(self), generator=generator, device="cpu").to(self.here.device)
        for rows in order.split(size):
            yield self._place[rows[self.here[rows]]], len(rows)

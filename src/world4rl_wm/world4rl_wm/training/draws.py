"""Random numbers of a training step: the same after a resume, and for any number of processes."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """The random numbers that one part of a step's batch needs.

    They depend on `seed` and `step` alone: nothing has to be saved to go on after an interruption. A batch that is cut
    into `parts` (processes, or the pieces of gradient accumulation) gets the numbers it would get in one piece: every
    part draws for the whole batch and keeps its own rows.
    """

    def __init__(self, seed: int, step: int, device: torch.device | str = "cpu", part: int = 0, parts: int = 1) -> None:
        self._generator = torch.Generator(device).manual_seed((seed * 1_000_003 + step) % 2**63)
        self._device, self._part, self._parts = device, part, parts

    def _rows(self, whole: Tensor) -> Tensor:
        return whole.chunk(self._parts)[self._part]

    def normal(self, rows: int, *shape: int) -> Tensor:
        """Standard normal ``(rows, *shape)``; `rows` of this part."""
        whole = torch.randn(rows * self._parts, *shape, generator=self._generator, device=self._device)
        return self._rows(whole)

    def uniform(self, rows: int, *shape: int) -> Tensor:
        """Uniform in [0, 1), ``(rows, *shape)``."""
        whole = torch.rand(rows * self._parts, *shape, generator=self._generator, device=self._device)
        return self._rows(whole)

    def choose(self, high: int, rows: int) -> Tensor:
        """int64 ``(rows,)`` in [0, high)."""
        whole = torch.randint(high, (rows * self._parts,), generator=self._generator, device=self._device)
        return self._rows(whole)

    def choose_one(self, high: int) -> int:
        """One number in [0, high), the same for every part."""
        return int(torch.randint(high, (), generator=self._generator, device=self._device))

"""This process's part of a batch that several processes have together, and what they tell one another of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, distributed, nn

if TYPE_CHECKING:
    from accelerate import PartialState

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Part `index` of `count`; by default the whole batch, with nobody to talk to.

    Every process draws the random numbers of the whole batch and keeps its own rows, so that what comes out is the same
    for any number of processes, but for rounding. All of them must call the methods that speak to others, in order.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def of(cls, state: PartialState) -> Share:
        """That of this process among those that accelerate has joined."""
        return cls(state.process_index, state.num_processes)

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.index == 0

    def size(self, whole: int, name: str) -> int:
        """Rows of a part, where all parts must have as many.

        Raises:
            ValueError: `whole`, which the user knows as `name`, cannot be dealt out evenly.
        """
        if whole % self.count:
            raise ValueError(
                f"{name} {whole} cannot be dealt out to {self.count} processes: make it a multiple of {self.count}"
            )
        return whole // self.count

    def keep(self, whole: Tensor, dim: int = 0) -> Tensor:
        """This part of a whole batch, a view; parts differ by one row at most."""
        return whole.tensor_split(self.count, dim)[self.index]

    def gather(self, own: Tensor, dim: int = 0) -> Tensor:
        """The whole batch of parts of equal size."""
        if self.count == 1:
            return own
        sent = (own.to(torch.uint8) if own.dtype == torch.bool else own).contiguous()  # gloo knows no bool
        parts = [torch.empty_like(sent) for _ in range(self.count)]
        distributed.all_gather(parts, sent)
        return torch.cat(parts, dim).to(own.dtype)

    def gather_rows(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The rows of all parts, one part after the other, whatever their sizes: columns by name, on the CPU."""
        if self.count == 1:
            return dict(own)
        parts: list[Any] = [None] * self.count
        distributed.all_gather_object(parts, dict(own))
        return {name: torch.cat([part[name] for part in parts]) for name in own}

    def sum(self, own: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return own
        total = own.clone()
        distributed.all_reduce(total)
        return total

    def sums(self, own: Mapping[str, float]) -> dict[str, float]:
        """As `sum`, of numbers by name."""
        if self.count == 1:
            return dict(own)
        everybody: list[Any] = [None] * self.count
        distributed.all_gather_object(everybody, dict(own))
        return {name: sum(numbers[name] for numbers in everybody) for name in own}

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Gradients of a sum of losses: every process has summed over its own rows."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def agreed(self, value: T) -> T:
        """The main process's `value`, where a last digit must not lead the processes apart."""
        if self.count == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told)
        return told[0]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()

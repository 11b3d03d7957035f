"""Self-imitation (Oh et al. 2018) of verified successes: what the policy did in those that it has reached itself.

Plain behaviour cloning on them, not weighed by how much better than expected they were: that a success is verified is
what makes it worth imitating.
"""

from __future__ import annotations

import torch
from torch import Tensor

from world4rl_policy.rollouts import RolloutBatch
from world4rl_wm.training.share import Share

ITERATIONS = 8
"""How long a success is imitated. Of 64 dreams an iteration a policy that succeeds in one of ten has then some 50 to
draw from; older ones are those of another policy, and would pull it back to where it was."""
MOST_STEPS = 1024
"""Newest steps that are kept, at most: an iteration draws a few hundred. They lie in the memory of every process and
are written with the state after every iteration: 13 MB with two frames of 32 x 32 pixels in bfloat16, twice that in
float32, four times that with 64 x 64 pixels."""


class VerifiedSuccesses:
    """Steps of verified successes of the last `ITERATIONS`, those of all processes, in the CPU's memory."""

    def __init__(self) -> None:
        self._columns: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Steps that are kept."""
        return len(self._columns["actions"]) if self._columns else 0

    def add(self, batch: RolloutBatch, iteration: int, share: Share) -> None:
        """Keep what `batch`, this process's part of the roll-outs of `iteration`, and those of the others show.

        Actions are kept as an environment does them, within [-1, 1].

        Raises:
            ValueError: the environment does not say which successes are verified.
        """
        dream, step = steps_to_success(batch).T.nonzero(as_tuple=True)  # the same order for any number of processes
        fresh = {"observations": batch.observations[step, dream], "actions": batch.actions[step, dream].clamp(-1, 1)}
        fresh |= {"iteration": torch.full_like(step, iteration)}
        if batch.tasks is not None:
            fresh["tasks"] = batch.tasks[dream]
        fresh = share.gather_rows({name: column.cpu() for name, column in fresh.items()})
        if self._columns:
            fresh = {name: torch.cat([self._columns[name], column]) for name, column in fresh.items()}
        young = fresh["iteration"] > iteration - ITERATIONS
        self._columns = {name: column[young][-MOST_STEPS:] for name, column in fresh.items()}

    def sample(self, size: int, generator: torch.Generator, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
        """Observations ``(size, ...)`` as they were rolled out, actions ``(size, A)`` and, for a policy that is told,
        tasks ``(size,)``, each task that there is as often as any other: by random numbers of the CPU, the same in all
        processes."""
        tasks = self._columns.get("tasks")
        if tasks is None:
            drawn = torch.randint(len(self), (size,), generator=generator, device="cpu")
        else:
            drawn = torch.multinomial(1 / tasks.bincount()[tasks], size, replacement=True, generator=generator)
        names = ("observations", "actions") if tasks is None else ("observations", "actions", "tasks")
        return tuple(self._columns[name][drawn].to(device) for name in names)

    def tensors(self) -> dict[str, Tensor]:
        """All that it holds, by name."""
        return self._columns

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Hold what `tensors` returned."""
        self._columns = {name: column.cpu() for name, column in tensors.items()}


def steps_to_success(batch: RolloutBatch) -> Tensor:
    """Bool ``(T, N)``: the steps of verified successes up to that which leads to the first frame that shows one.

    Demonstrations end there as well: that it lasts teaches nothing more.

    Raises:
        ValueError: the environment does not say which successes are verified.
    """
    if batch.verified is None:
        raise ValueError(
            "ppo.imagined_bc imitates verified successes, but this environment does not say which are "
            '(info["verified"]): set ppo.imagined_bc to 0'
        )
    shown, reached = (batch.verified * batch.valid).max(0)
    steps = torch.arange(len(batch.verified), device=reached.device).unsqueeze(1)
    return (shown > 0) & (steps < reached + 2 - shown)

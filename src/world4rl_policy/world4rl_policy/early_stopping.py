"""Early stopping of behaviour cloning: the weights that are best on episodes which training has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from world4rl_policy.action_likelihood import action_likelihood
from world4rl_policy.actor_critic import GaussianPolicy

if TYPE_CHECKING:
    from world4rl_policy.bc import Examples


def draw_held_out(episodes: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split into those to learn from and about `share`, drawn by `seed`: at least one, but none for a share of 0.

    Raises:
        ValueError: nothing would be left to learn from.
    """
    if share == 0:
        return list(episodes), []
    count = max(1, round(share * len(episodes)))
    if count >= len(episodes):
        raise ValueError(
            f"held_out={share:g} sets {count} episode aside, and there is only {len(episodes)} in all: collect or "
            "record more, or give held_out=0 (--set bc.training.held_out=0, for filtered BC "
            "bc.filtered_training.held_out=0)"
        )
    drawn = set(torch.randperm(len(episodes), generator=torch.Generator().manual_seed(seed))[:count].tolist())
    learned = [episode for place, episode in enumerate(episodes) if place not in drawn]
    return learned, [episodes[place] for place in sorted(drawn)]


class EarlyStopping:
    """Looks at a policy every so many steps: how probable does it find the actions held out?

    With the standard deviation that fits them best, which is what training gives it at its end.

    Attributes:
        held_out: what training does not see.
        over: `patience` looks in a row were no better than the best one.
        step: of the last look. best_step, best_nll: of the best one; nats per action.
    """

    def __init__(self, held_out: Examples, evaluate_every: int, patience: int):
        self.held_out, self.evaluate_every, self.patience = held_out, evaluate_every, patience
        self.step, self.best_step, self.best_nll = 0, 0, math.inf
        self._best: dict[str, torch.Tensor] = {}
        self._worse = 0

    @property
    def over(self) -> bool:
        return self._worse >= self.patience

    def look(self, policy: GaussianPolicy, step: int, last: bool) -> dict[str, float]:
        """Where a look is due, or at the `last` step: remember the best weights; returns what to log."""
        if step % self.evaluate_every and not last:
            return {}
        nll = action_likelihood(policy.eval(), self.held_out.batches(policy.std.device)).nll
        policy.train()
        self.step, self._worse = step, self._worse + 1
        if nll < self.best_nll:
            self.best_step, self.best_nll, self._worse = step, nll, 0
            self._best = {name: weights.clone() for name, weights in policy.state_dict().items()}
        return {"held_out_nll": nll}

    def restore(self, policy: GaussianPolicy) -> None:
        """Give `policy` the best weights; it keeps its own where no look found a number."""
        policy.load_state_dict(self._best or policy.state_dict())

    def metrics(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"stopped_at_step": self.step, "best_step": self.best_step, "held_out_nll": self.best_nll}

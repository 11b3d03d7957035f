"""Which of its policies a refinement keeps: the one that does best in dreams that it did not practise in."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.checkpoint_identity import module_digest
from world4rl_wm.training.processes import main_process

CHECKPOINTS = "checkpoints"
_MORE = 1e-9  # than nothing: a checkpoint that is only as good as what was there is no better
Success = Callable[[GaussianPolicy], float]
"""The share of start states that a policy solves in somebody's dreams."""


@dataclass(frozen=True)
class Selection:
    """How the checkpoint is chosen: every `every` iterations, and after the last one, `episodes` dreams of the judge,
    from its own start frames.

    A checkpoint must beat the start policy there, and the one of before, by `margin`, or solve every dream where less
    is left to gain, and stay within `max_start_kl` of the start; otherwise nothing is gained. Of checkpoints that do
    equally well the latest is chosen, which has practised most. The distance is told of Gaussians with the standard
    deviation `start_kl_std`, whatever PPO explores with: a wider one would let the mean action go further. `by` the
    `dream` that it practises in instead, or the `last` one whatever anybody says, is for finding out what the judge is
    good for.
    """

    by: Literal["judge", "dream", "last"] = "judge"
    every: int = 16
    episodes: int = 200
    margin: float = 0.02
    max_start_kl: float = 5.0
    start_kl_std: float = 0.15


@dataclass(frozen=True)
class PracticeStart:
    """`policy`, with which practice begins, the one that was there `before`, and the share of the judge's start states
    that each of them solves in the judge's dreams."""

    policy: GaussianPolicy
    before: GaussianPolicy
    judged: float
    judged_before: float

    @cached_property
    def same(self) -> bool:
        """Whether the two are one policy, wherever they lie."""
        return module_digest(self.policy) == module_digest(self.before)


@dataclass(frozen=True)
class Refinement:
    """What came out: which iteration was kept (0: the policy of before), and how it did in the judge's dreams.

    Success in the dream that was practised in (imagined) and in the judge's is told of the policy of `before`, of the
    `start` policy that practice began with, and of the one that was kept (refined). `start_kl` is None where that is
    the policy of before and not the start policy too. `config` are the settings that were practised with: where the
    replay check asks for caution not those asked for.
    """

    policy: GaussianPolicy
    iteration: int
    imagined_before: float
    imagined_start: float
    imagined_refined: float
    judged_before: float
    judged_start: float
    judged_refined: float
    start_kl: float | None
    reason: str
    config: dict[str, Any] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """All but the policy and the settings."""
        return {k: v for k, v in vars(self).items() if k not in ("policy", "config")}

    def to_dict(self) -> dict[str, Any]:
        """`figures`, and `kept_start_policy`: whether the policy of before was kept, as iteration 0 says too."""
        return self.figures() | {"kept_start_policy": self.iteration == 0}


def kept_checkpoint(out: Path, iteration: int) -> Path:
    """Where the refinement in `out` keeps the policy of an iteration that the judge has seen."""
    return out / CHECKPOINTS / f"iteration-{iteration:04d}"


def kept_checkpoints(out: Path) -> dict[int, Path]:
    """All that the refinement in `out` has kept, by iteration."""
    return {
        int(path.name.removeprefix("iteration-")): path for path in sorted((out / CHECKPOINTS).glob("iteration-????"))
    }


class CheckpointChoice:
    """Sees a policy now and then while it learns, keeps what it has seen in `out`, and remembers the best.

    `imagined` is success in the dream that the policy practises in, `judged` in the judge's. Where nothing beats both
    policies of `start`, the one of before comes out. It begins with `begin`, or goes on with what `state_dict` told.
    """

    def __init__(
        self,
        selection: Selection,
        start: PracticeStart,
        imagined: Success,
        judged: Success,
        out: Path,
        seed: int,
    ):
        self.selection, self._start, self._imagined, self._judged = selection, start, imagined, judged
        self._out, self._seed = out, seed
        self.best = self._kept(0.0, 0.0)
        self._to_reach = 0.0
        self._end = ""

    def _kept(self, imagined_before: float, imagined_start: float) -> Refinement:
        """The policy of before."""
        start = self._start
        return Refinement(
            policy=start.before,
            iteration=0,
            imagined_before=imagined_before,
            imagined_start=imagined_start,
            imagined_refined=imagined_before,
            judged_before=start.judged_before,
            judged_start=start.judged,
            judged_refined=start.judged_before,
            start_kl=0.0 if start.same else None,
            reason="",
        )

    def begin(self) -> dict[str, float]:
        """Measure in the dream what is to be beaten, as the judge has done before; returns what to log."""
        began, start = time.perf_counter(), self._start
        imagined = self._imagined(start.policy)
        self.best = best = self._kept(imagined if start.same else self._imagined(start.before), imagined)
        if self.selection.by == "dream":
            most = max(best.imagined_start, best.imagined_before)
        else:
            most = max(best.judged_start, best.judged_before)
        self._to_reach = round(min(most + self.selection.margin, max(1.0, most + _MORE)), 9)
        values = {"iteration": 0, "judged_success": start.judged, "start_kl": 0.0, "imagined_mean_success": imagined}
        return values | {"judge_s": round(time.perf_counter() - began, 4)}

    def due(self, iteration: int) -> bool:
        """Whether it wants to see the policy after this iteration; after the last one it does in any case."""
        return iteration % self.selection.every == 0

    def look(self, policy: GaussianPolicy, iteration: int, start_kl: float, settled: bool = True) -> dict[str, float]:
        """See a policy that is `start_kl` away from the start; returns what to log. What has not `settled` is not
        chosen: a moving average that is hardly more than the start policy would stand in the way of the next ones."""
        began, by = time.perf_counter(), self.selection.by
        judged = self._judged(policy)
        if main_process():
            policy.save(kept_checkpoint(self._out, iteration), metrics={"judged_success": judged}, seed=self._seed)
        if start_kl > self.selection.max_start_kl:
            self._end = f"stopped: the policy has gone too far from the start (KL {start_kl:.2f})"
        elif settled:
            imagined = self._imagined(policy) if by == "dream" else None
            seen = judged if imagined is None else imagined
            if round(seen, 9) >= self._to_reach or by == "last":
                self._to_reach = seen
                self.best = replace(
                    self.best,
                    policy=copy.deepcopy(policy).eval().requires_grad_(False),
                    iteration=iteration,
                    imagined_refined=self._imagined(policy) if imagined is None else imagined,
                    judged_refined=judged,
                    start_kl=start_kl,
                    reason="the last one" if by == "last" else f"best in the {by}'s dreams",
                )
        return {"judged_success": judged, "start_kl": start_kl, "judge_s": round(time.perf_counter() - began, 4)}

    @property
    def stopped(self) -> bool:
        """Whether the policy must not go any further."""
        return bool(self._end)

    def result(self, reason: str = "") -> Refinement:
        """The best policy; where none is better than what was there, that one, and `reason` says why, or what the
        choice knows of it."""
        if self.best.iteration:
            return self.best
        none = f"no checkpoint was better than the start policy in the {self.selection.by}'s dreams"
        return replace(self.best, reason=reason or self._end or none)

    def state_dict(self) -> dict[str, Any]:
        """What it remembers; the best policy itself is among those kept."""
        return {"best": self.best.figures(), "to_reach": self._to_reach, "end": self._end}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        policy, iteration = self._start.before, values["best"]["iteration"]
        if iteration:
            device = next(self._start.policy.parameters()).device
            policy = GaussianPolicy.load(kept_checkpoint(self._out, iteration), device).requires_grad_(False)
        self.best = Refinement(policy, **values["best"])
        self._to_reach, self._end = values["to_reach"], values["end"]

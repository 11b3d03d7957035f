"""The policy that practice begins with: the one that works now, or what BC on dreams has made of it.

A policy that never learned from dreams is not itself in one (`world4rl.dream_bc`), so that of filtered BC the copy that
did nearly always wins. A policy that comes out of a refinement has practised there, and what BC makes of it may have
lost what it learned. So the judge sees both, and both must be beaten. What it was to explore with does not count:
PPO begins with a standard deviation of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from world4rl.dream_bc import dream_bc
from world4rl.dreamed import Dreamer, dreamed_success
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.checkpoint import METRICS
from world4rl_wm.checkpoint_identity import module_digest
from world4rl_wm.model.frames import StartStates
from world4rl_wm.training.devices import process_state
from world4rl_wm.training.share import Share

if TYPE_CHECKING:
    from world4rl.refine import RefineConfig


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


def seen_by_judge(
    policy: GaussianPolicy, before: GaussianPolicy, judge: Dreamer, starts: StartStates, config: RefineConfig
) -> PracticeStart:
    """Have the judge dream both, from as many of `starts` as it chooses by; several processes do so together."""
    judged = partial(
        dreamed_success,
        dreamer=judge,
        starts=starts[: config.selection.episodes],
        config=config.imagination,
        share=Share.of(process_state()),
    )
    seen = PracticeStart(policy, before, judged(policy), 0.0)
    return PracticeStart(policy, before, seen.judged, seen.judged if seen.same else judged(before))


def practice_start(
    before: GaussianPolicy,
    dream: Dreamer,
    judge: Dreamer,
    starts: StartStates,
    successes: tuple[EpisodeStore, Sequence[int]],
    config: RefineConfig,
    out: Path,
    seed: int,
    progress: bool = True,
) -> PracticeStart:
    """`before`, or its copy that has seen `successes` as both dream them, whichever does better in the judge's dreams:
    at equal figures the copy. What was chosen is kept as the checkpoint `out`, with the figures of both, where the next
    call finds it."""
    state, models = process_state(), [dream.world_model, judge.world_model]
    with state.main_process_first():
        policy = dream_bc(before, models, successes, config.dream_bc, out, seed, progress)
    told = json.loads((out / METRICS).read_text())
    if "judged_copy" not in told:  # just made, by this call or one that was interrupted
        seen, share = seen_by_judge(policy, before, judge, starts, config), Share.of(state)
        told |= {"judged_copy": seen.judged, "judged_before": seen.judged_before}
        if seen.judged_before > seen.judged:
            policy = before
        share.wait()  # all have read what is there before it is replaced
        if share.main:
            policy.save(out, metrics=told, seed=seed)
    return PracticeStart(policy, before, max(told["judged_copy"], told["judged_before"]), told["judged_before"])

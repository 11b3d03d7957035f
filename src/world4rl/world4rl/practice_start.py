"""A policy that practice could begin with, and how the judge sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from world4rl.dream_bc import dream_bc
from world4rl.dreamed import Dreamer, dreamed_success
from world4rl.refine import RefineConfig
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.model.frames import StartStates


@dataclass(frozen=True)
class PracticeStart:
    """`policy`, made of `before`, and the share of start states that it solves in the judge's dreams."""

    before: GaussianPolicy
    policy: GaussianPolicy
    judged: float


def practice_start(
    checkpoint: Path,
    dream: Dreamer,
    judge: Dreamer,
    starts: StartStates,
    successes: tuple[EpisodeStore, Sequence[int]],
    config: RefineConfig,
    out: Path,
    seed: int,
    progress: bool = True,
) -> PracticeStart:
    """The policy of `checkpoint`, once it has seen `successes` as both dream them, kept as the checkpoint `out`."""
    before, models = GaussianPolicy.load(checkpoint), [dream.world_model, judge.world_model]
    policy = dream_bc(before, models, successes, config.dream_bc, out, seed, progress)
    return PracticeStart(before, policy, dreamed_success(policy, judge, starts, config.imagination))

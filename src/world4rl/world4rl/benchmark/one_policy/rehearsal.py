"""What the one policy is refined with: the dreams of several tasks in one batch, and the real successes of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from world4rl.benchmark.one_policy.folder import OnePolicy
from world4rl.runs.run_folder import Run, successes
from world4rl.runs.start_states import judge_starts, practice_starts

if TYPE_CHECKING:
    from world4rl.refinement.dreamed import Dreamer
    from world4rl.refinement.rehearsal import Rehearsal
    from world4rl_wm.model.frames import StartStates


def rehearsal(one: OnePolicy, runs: Sequence[Run]) -> Rehearsal:
    """In the dreams of the tasks of `runs`; the successes of all tasks are imitated."""
    from world4rl.refinement.rehearsal import Rehearsal

    config, dream, judges = one.config(len(runs)), _dreamer(runs, "a"), _dreamer(runs, "b")
    episodes, real = practised_episodes(one, runs), (one.real, successes(one.real))
    practised = practice_starts(one.real, config.imagination, dream.world_model, episodes)
    return Rehearsal(dream, judges, practised, held_out(runs), real, config, one.seed, one.runs[0].progress)


def practised_episodes(one: OnePolicy, runs: Sequence[Run]) -> list[int]:
    """Episodes that practice begins as, none of those that check: one task after the other, each as often."""
    fresh = {info.episode_id for run in runs for info in run.store("check").infos}
    groups = [
        [row for row, info in enumerate(one.real.infos) if info.task == run.task and info.episode_id not in fresh]
        for run in runs
    ]
    return [group[number % len(group)] for number in range(max(map(len, groups))) for group in groups]


def held_out(runs: Sequence[Run]) -> StartStates:
    """Start states that nothing learns from, those that choose: one task after the other."""
    import torch

    from world4rl_wm.model.frames import StartStates

    parts = [judge_starts(run) for run in runs]
    frames, proprio = (torch.stack(one, 1).flatten(0, 1) for one in zip(*((p.frames, p.proprio) for p in parts)))
    return StartStates(frames, proprio, np.stack([part.tasks for part in parts], 1).ravel())


def _dreamer(runs: Sequence[Run], name: str) -> Dreamer:
    """World model `name` of all tasks, with the reward models that read its dreams of each."""
    from world4rl.refinement.dreamed import Dreamer
    from world4rl.runs.dreamers import dreamer
    from world4rl_wm.reward.model import RewardModel
    from world4rl_wm.reward.task_rewards import TaskRewards

    first, models = dreamer(runs[0], name), {}
    for run in runs:
        models[run.task] = RewardModel.load(run.checkpoint(f"reward_{name}"), first.world_model.device)
    return Dreamer(first.world_model, TaskRewards(models))

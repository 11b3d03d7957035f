"""Where dreams begin: the simulator reset, and nothing done there yet; for practice, in real episodes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from world4rl.episodes.collect import frame_of
from world4rl.episodes.simulation import make_env
from world4rl.runs.run_folder import Run
from world4rl_data.store import EpisodeStore

if TYPE_CHECKING:
    from world4rl_wm.imagination.env import ImaginationConfig
    from world4rl_wm.model.frames import StartStates
    from world4rl_wm.model.world_model import WorldModel


def start_states(run: Run, seeds: range) -> StartStates:
    """Those of the run's task with these `seeds`: no episode is needed, and none is made."""
    import torch

    from world4rl_wm.model.frames import StartStates

    with closing(make_env(run.task, run.contract)) as env:
        seen = [env.reset(seed=seed)[0] for seed in seeds]
    frames = [frame_of(observation, run.contract) for observation in seen]
    proprio = np.stack([o["proprio"] for o in seen]).astype(np.float32)
    return StartStates(torch.from_numpy(np.stack(frames)), torch.from_numpy(proprio), np.array([run.task] * len(seeds)))


def judge_starts(run: Run) -> StartStates:
    """Those by which the judge chooses the run's checkpoint; nothing learns from them."""
    return start_states(run, run.seeds.take("select", run.preset.selection.episodes))


def practice_starts(
    store: EpisodeStore, config: ImaginationConfig, world_model: WorldModel, episodes: Sequence[int] | None = None
) -> StartStates:
    """The first frames of stored `episodes` (None: all), and their key frames where the settings ask for some."""
    from world4rl_wm.imagination.key_frames import with_key_frames
    from world4rl_wm.model.frames import StartStates

    episodes = range(len(store)) if episodes is None else episodes
    if not config.key_frames:
        return StartStates.of(store, episodes)
    return with_key_frames(store, episodes, world_model.history)

"""Where episodes could begin: the simulator reset, and nothing done there yet."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from world4rl.collect import frame_of
from world4rl.run_folder import Run
from world4rl.simulation import make_env

if TYPE_CHECKING:
    from world4rl_wm.model.frames import StartStates


def start_states(run: Run, seeds: range) -> StartStates:
    """Those of the run's task with these `seeds`: no episode is needed, and none is made."""
    import torch

    from world4rl_wm.model.frames import StartStates

    with closing(make_env(run.task, run.contract)) as env:
        seen = [env.reset(seed=seed)[0] for seed in seeds]
    frames = [frame_of(observation, run.contract) for observation in seen]
    proprio = np.stack([o["proprio"] for o in seen]).astype(np.float32)
    return StartStates(torch.from_numpy(np.stack(frames)), torch.from_numpy(proprio), np.array([run.task] * len(seeds)))

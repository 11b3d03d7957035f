"""PPO in the simulator itself, resumable: the refinement's own PPO, with its settings, from the same policy."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from refinement_parts.real_env import RealEnv
from torch import Tensor
from tqdm import tqdm

from world4rl.refinement.journal import METRICS, RefinementJournal
from world4rl.refinement.refine import RefineConfig
from world4rl.runs.record import checkpoint_digest
from world4rl.runs.run_folder import Run, successes, training_store
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import Demonstrations
from world4rl_policy.ppo import Ppo
from world4rl_wm.training.metrics_log import read_metrics
from world4rl_wm.training.share import Share


def practise(run: Run, env: RealEnv, config: RefineConfig, folder: Path, progress: bool = True) -> GaussianPolicy:
    """Improve the policy that the run's refinement began with in `env`; returns the moving average of the last ones.

    Only the dream is replaced: PPO's settings, the term of real successes and the seeds of random numbers are those of
    `world4rl.refinement.rehearsal.Rehearsal.refine`, without the caution that is due to a half true dream. The same
    call goes on after the last iteration that `folder` knows of, and ends with the same policy.
    """
    policy = GaussianPolicy.load(run.start_checkpoint).requires_grad_(True)
    store = training_store(run, "demonstrations", "practice", "check")
    demonstrations = Demonstrations(store, successes(store), policy.history)
    generator = torch.Generator().manual_seed(run.seed + 1)

    def imitated(size: int) -> tuple[Tensor, Tensor]:
        return demonstrations.sample(size, generator)

    ppo = Ppo(policy, env, config.ppo, imitated, run.seed)
    state = ppo.training_state({"demonstrations": generator}, {"simulated": env})
    settings = {"ppo": asdict(config.ppo), "imagination": asdict(config.imagination), "seed": run.seed}
    made_of = {"start": checkpoint_digest(run.start_checkpoint), "data": store.content_hash}
    folder.mkdir(parents=True, exist_ok=True)
    journal = RefinementJournal(folder, state, json.dumps(settings | made_of, sort_keys=True), Share())
    if journal.resumed:
        ppo.iteration = state.step
    left = range(ppo.iteration, config.ppo.iterations)
    for _ in tqdm(left, desc="PPO in the simulator", unit="iteration", disable=not progress):
        journal.write(ppo.iterate())
    return ppo.averaged.eval()


def practice_success(folder: Path) -> list[float]:
    """Success of the exploring policy in each iteration's batch: real, whatever PPO calls it."""
    return [round(row["imagined_success"], 4) for row in read_metrics(folder / METRICS)]

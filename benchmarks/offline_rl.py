"""Offline reinforcement learning on a finished run's real episodes: rivals of refinement that need no dream.

    python benchmarks/offline_rl.py runs/seed0 runs/seed1

IQL and TD3+BC learn from every real episode of the run, successes and failures of demonstrations, practice and fresh
episodes. They begin as the run's filtered BC, the best policy that imitation made of the same episodes, and keep its
convolutions; the layers behind them are trained. The policies act in the simulator by their mean, on the start states
that the run was evaluated on. Writes benchmarks/results/offline-rl-TASK.json after every training, goes on where it was
stopped, and prints a table.

The losses are torchrl's, the extra `offline-rl` of world4rl_policy:

    pip install -c constraints.txt "./src/world4rl_policy[offline-rl]"
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from refinement_parts.offline import CONFIGS, OfflineConfig, train
from refinement_parts.options import with_settings
from refinement_parts.results import Results, run_key, scored
from refinement_parts.runs import HeldOut, finished_run
from refinement_parts.table import table
from refinement_parts.transitions import Transitions

from world4rl.episodes.collect import evaluate
from world4rl.runs.run_folder import Run, training_store
from world4rl_policy.actor_critic import GaussianPolicy

START = "filtered_bc"


def row(run: Run, algorithm: str, config: OfflineConfig, seed: int, known: HeldOut, workers: int) -> dict[str, Any]:
    """Train one policy on the run's episodes and try it in the simulator."""
    store = training_store(run, "demonstrations", "practice", "check")
    began = time.process_time()
    policy = GaussianPolicy.load(run.checkpoint(START))
    shift = run.preset.bc.filtered_training.shift
    transitions = Transitions(store, policy, shift, config.time_limit_terminates)
    losses = train(policy, transitions, config, run.preset.ppo.gamma, seed)
    spent = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = policy.save(Path(folder) / algorithm, metrics=losses, seed=seed)
        found = evaluate(run.task, run.contract, checkpoint, known.seeds, 0.0, workers, progress=False)
    learned = {"episodes": len(store), "transitions": len(transitions), "cpu_s": round(spent, 1), "losses": losses}
    return {"seed": seed, "learned": learned, **scored(algorithm, found, known)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--algorithms", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the trainings (default: 0 1 2)")
    parser.add_argument("--steps", type=int, help="of each training (default: that of its settings)")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings such as iql.expectile=0.9")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate (default: 2)")
    parser.add_argument("--choose", action="store_true", help="use start states set apart for choosing settings")
    parser.add_argument("--out", type=Path, help="JSON file to write, or to go on with")
    options = parser.parse_args()
    if options.choose and options.out is None:
        parser.error("--choose needs an --out: what is found while choosing settings is no result")
    torch.set_num_threads(1)
    settings = list(options.set)
    if options.steps is not None:
        settings += [f"{name}.steps={options.steps}" for name in CONFIGS]
    configs = with_settings({name: CONFIGS[name]() for name in CONFIGS}, settings)
    runs = [finished_run(path) for path in options.runs]
    setting = {"algorithms": {name: asdict(config) for name, config in configs.items()}, "choosing": options.choose}
    results = Results("offline-rl", runs, setting, options.out)
    for run in runs:
        known = HeldOut.for_choosing(run) if options.choose else HeldOut.of(run)
        key = run_key(run, training_store(run, "demonstrations", "practice", "check").content_hash)
        for seed in options.seeds:
            for name in options.algorithms:
                if not results.holds(**key, policy=name, seed=seed):
                    results.add(key | row(run, name, configs[name], seed, known, options.workers))
                    print(f"{run.path}, {name}, seed {seed}: {results.rows[-1]['success']:.1%}", flush=True)
    print(table(results.rows))


if __name__ == "__main__":
    main()

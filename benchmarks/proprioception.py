"""Should a policy be told proprioception besides its pictures? Filtered BC with it, on finished runs.

    python benchmarks/proprioception.py runs/seed0 runs/seed1

Each policy learns from the successes that the run's filtered BC has learned from, with its settings and random numbers,
and differs from it only in what it is told: images and proprioception, or the same with the proprioception blanked in
half of the examples, so that it cannot do without the images (a policy that is told how the arm stands may learn to go
on as it moves). They act in the simulator by their mean, on the start states that the run was evaluated on. Writes
benchmarks/results/proprioception-TASK.json after every training, goes on where it was stopped, and prints a table,
where filtered BC is what images alone are worth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from refinement_parts.proprioception import TellProprioception, evaluate, statistics, train
from refinement_parts.results import Results, run_key, scored
from refinement_parts.runs import HeldOut, finished_run
from refinement_parts.table import table

from world4rl.runs.run_folder import Run, successes, training_store
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import Demonstrations

BLANK = {"images and proprioception": 0.0, "proprioception blanked half the time": 0.5}
"""Policies, and the share of their examples whose proprioception is blanked."""


def row(run: Run, name: str) -> dict[str, Any]:
    """Train one policy on the run's successes and try it in the simulator."""
    known, store = HeldOut.of(run), training_store(run, "demonstrations", "practice", "check")
    episodes, began = successes(store), time.process_time()
    torch.manual_seed(run.seed)
    policy = GaussianPolicy(run.preset.policy_config(run.contract), run.contract)
    demonstrations = Demonstrations(store, episodes, policy.history)
    network = TellProprioception(policy, *statistics(demonstrations))
    loss = train(demonstrations, network, run.preset.bc.filtered_training, BLANK[name], run.seed)
    learned = {"episodes": len(episodes), "cpu_s": round(time.process_time() - began, 1), "loss": round(loss, 3)}
    found = evaluate(run.task, run.contract, network, known.seeds)
    return {"learned": learned, **scored(name, found, known)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--out", type=Path, help="JSON file to write, or to go on with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = [finished_run(path) for path in options.runs]
    for run in runs:
        if run.preset.bc.filtered_training.held_out:
            raise SystemExit(f"{run.path}: its filtered BC learned with early stopping, which is not done here")
    results = Results("proprioception", runs, {"blank": BLANK}, options.out)
    for run in runs:
        key = run_key(run, training_store(run, "demonstrations", "practice", "check").content_hash)
        for name in BLANK:
            if not results.holds(**key, policy=name):
                results.add(key | row(run, name))
                print(f"{run.path}, {name}: {results.rows[-1]['success']:.1%}", flush=True)
    print(table(results.rows))


if __name__ == "__main__":
    main()

"""Is filtered BC as good a rival as it could be? Other ways to imitate the same real episodes, on finished runs.

    python benchmarks/imitation.py runs/seed0 runs/seed1

Rows: filtered BC trained three times as long; filtered BC once it has seen its successes dreamed again, with which
refinement begins (left out of a run that has none, such as one that could not be checked); and filtered BC on the
demonstrations and the first 25, 50, 100 or 200 of the run's other episodes alone, to see what episodes are worth. All
with the run's settings and seed; they act in the simulator by their mean, on the start states that the run was
evaluated on. Writes benchmarks/results/imitation-TASK.json after every row, goes on where it was stopped, and prints a
table.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from refinement_parts.results import Results, run_key, scored
from refinement_parts.runs import HeldOut, finished_run
from refinement_parts.table import table

from world4rl.episodes.collect import evaluate
from world4rl.runs.run_folder import Run, successes, training_store
from world4rl_data.store import EpisodeStore
from world4rl_policy.bc import train_and_save

LONGER, DREAMED = "filtered BC, three times as long", "filtered BC and its successes dreamed"
START = "start"
"""Checkpoint of `DREAMED`: `Run.start_checkpoint` is filtered BC where it is missing."""
FEWER = {f"filtered BC, {few} roll-outs": few for few in (25, 50, 100, 200)}
ROWS = (LONGER, DREAMED, *FEWER)


def imitated(run: Run, name: str, store: EpisodeStore) -> list[int]:
    """The successes to imitate: of all episodes, or of the demonstrations and the first few that came after them."""
    good = successes(store)
    if name not in FEWER:
        return good
    return [row for row in good if row < len(run.store("demonstrations")) + FEWER[name]]


def row(run: Run, name: str, store: EpisodeStore, workers: int) -> dict[str, Any]:
    """Train one policy, or take the run's own, and try it in the simulator."""
    known, began, learned = HeldOut.of(run), time.process_time(), {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = run.checkpoint(START)
        if name != DREAMED:
            config = run.preset.bc.filtered_training
            if name == LONGER:
                config = replace(config, steps=3 * config.steps)
            episodes, checkpoint = imitated(run, name, store), Path(folder) / "policy"
            network = run.preset.policy_config(run.contract)
            train_and_save(store, episodes, checkpoint, network, config, run.seed, False)
            learned = {"episodes": len(episodes), "steps": config.steps}
            learned |= {"cpu_s": round(time.process_time() - began, 1)}
        found = evaluate(run.task, run.contract, checkpoint, known.seeds, 0.0, workers, progress=False)
    return {"learned": learned, **scored(name, found, known)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=" | ".join(ROWS))
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate (default: 2)")
    parser.add_argument("--out", type=Path, help="JSON file to write, or to go on with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = [finished_run(path) for path in options.runs]
    results = Results("imitation", runs, {}, options.out)
    stores = [training_store(run, "demonstrations", "practice", "check") for run in runs]
    keys = [run_key(run, store.content_hash) for run, store in zip(runs, stores, strict=True)]
    for name in options.rows:
        for run, store, key in zip(runs, stores, keys, strict=True):
            if name == DREAMED and not run.checkpoint(START).is_dir():
                print(f"{run.path}, {name}: left out, the run has no {run.checkpoint(START)}")
                continue
            if not results.holds(**key, policy=name):
                results.add(key | row(run, name, store, options.workers))
                print(f"{run.path}, {name}: {results.rows[-1]['success']:.1%}", flush=True)
    print(table(results.rows))


if __name__ == "__main__":
    main()

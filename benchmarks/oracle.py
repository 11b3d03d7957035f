"""The oracle: a finished run's refinement again, with the simulator itself in the place of the dream.

    python benchmarks/oracle.py runs/seed0

The same PPO with the same settings, from the same policy (filtered BC, after BC on dreams where the run has that), for
as many batches of as many episodes, with the same term of real successes; but every step is simulated and success is
the simulator's own. What refinement could reach if its dream were true: if this does not beat filtered BC, PPO is to
blame. It is no rival, for it uses many times the run's real steps. The last policy acts by its mean on the start states
that the run was evaluated on. Writes benchmarks/results/oracle-TASK.json after every run, goes on where it was stopped,
and prints a table.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from refinement_parts.practice import practice_success, practise
from refinement_parts.real_env import RealEnv, practice_seeds
from refinement_parts.results import Results, run_key, scored
from refinement_parts.runs import HeldOut, finished_run
from refinement_parts.table import table

from world4rl.episodes.collect import evaluate
from world4rl.refinement.refine import RefineConfig
from world4rl.runs.run_folder import Run, training_store

ORACLE = "oracle"


def settings(run: Run, iterations: int | None) -> RefineConfig:
    """The run's refinement, with dreams as long as it had them and, where that is asked for, fewer iterations."""
    config = run.preset.refine_config(training_store(run, "demonstrations", "practice"))
    return config if iterations is None else replace(config, ppo=replace(config.ppo, iterations=iterations))


def row(run: Run, config: RefineConfig, folder: Path, workers: int) -> dict[str, Any]:
    """Practise and evaluate."""
    with closing(RealEnv(run.task, run.contract, config.imagination, practice_seeds(run.seed), workers)) as env:
        policy = practise(run, env, config, folder)
        checkpoint = policy.save(folder / ORACLE, metrics={"env_steps": env.steps}, seed=run.seed)
        used = {"env_steps": env.steps, "episodes": env.episodes}
    known = HeldOut.of(run)
    found = evaluate(run.task, run.contract, checkpoint, known.seeds, 0.0, workers, progress=False)
    stores = [run.store(name) for name in ("demonstrations", "practice", "check")]
    real = {"env_steps": sum(i.length for s in stores for i in s.infos), "episodes": sum(map(len, stores))}
    ppo = {
        "iterations": config.ppo.iterations,
        "practice_success": practice_success(folder),
        "simulated": used,
        "run_has_used": real,
    }
    return {**ppo, **scored(ORACLE, found, known)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--iterations", type=int, help="of PPO (default: the run's)")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate (default: 2)")
    parser.add_argument("--folder", type=Path, help="where interrupted work is kept, of one run (default: RUN/oracle)")
    parser.add_argument("--out", type=Path, help="JSON file to write, or to go on with")
    options = parser.parse_args()
    if options.folder and len(options.runs) > 1:
        parser.error("--folder is for a single run")
    torch.set_num_threads(1)
    runs = [finished_run(path) for path in options.runs]
    results = Results("oracle", runs, {"iterations": options.iterations}, options.out)
    for run in runs:
        key = run_key(run, training_store(run, "demonstrations", "practice", "check").content_hash)
        if not results.holds(**key):
            config = settings(run, options.iterations)
            found = row(run, config, options.folder or run.path / ORACLE, options.workers)
            results.add(key | {"ppo": asdict(config.ppo)} | found)
    print(table(results.rows))
    for found in results.rows:
        used, real = found["simulated"], found["run_has_used"]
        took = f"{used['env_steps']} real steps in {used['episodes']} episodes"
        print(
            f"{found['task']}, seed {found['run_seed']}: {took}; "
            f"the run itself {real['env_steps']} in {real['episodes']}"
        )


if __name__ == "__main__":
    main()

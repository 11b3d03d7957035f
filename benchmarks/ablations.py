"""What each part of the refinement is worth: the same world models, one part less or more, success in reality.

    python benchmarks/ablations.py runs/seed0 runs/seed1 runs/seed2

RUN is the folder of a finished `world4rl demo`, or of a row of `world4rl benchmark metaworld` (RUN/seed-0/TASK); it is
read, and rows are worked out below --work. A row does what comes after the training of the world models (BC on dreams,
replay check, refinement) under settings of its own, and meets the start states that the run was evaluated on. Rows
about the reward models train both of them anew, as --set does with settings of theirs (reward.*); rows about the world
models' episodes train all four models, on the run's other episodes, which takes as long as they took, and are refused
where a benchmark's tasks share their world models. --seeds trains rows again from other seeds, in the same world
models: how far they come apart is what chance does in training. What a run cannot have is told at once, with what to
do. Every run's first rows come first; what is done is not done again, so that the same command goes on where it was
stopped, in the middle of a refinement too. Writes benchmarks/results/ablations-TASK.json after every row and prints the
table. Without --set the run's own rows also go to RUN/ablations.json, for its report (`world4rl report RUN`), but for
those of other seeds.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from ablation_parts.possible import default_rows, require_dreams, require_possible
from ablation_parts.rows import MODELS, REWARD_MODELS, ROWS, settings_of, trained_anew, unseen_sources
from refinement_parts.cpu_time import counted, cpu_seconds
from refinement_parts.results import Results, run_key, scored
from refinement_parts.runs import HeldOut, finished_run, work_digest
from refinement_parts.table import table

from world4rl.episodes.collect import evaluate
from world4rl.pipeline import refinement, replay_check, reward_models, start_policy, world_models
from world4rl.report.ablations import ABLATIONS
from world4rl.runs.run_folder import Run, training_store
from world4rl_data.store import EpisodeStore


def row_run(run: Run, name: str, settings: Sequence[str], work: Path, seed: int | None = None) -> Run:
    """A run below `work` with the stores and models of `run`, but for those to be trained anew, and settings on top of
    its; `seed` None: the run's own.

    Its folder is called after the row and a digest of all its settings and of the run's models: under other settings,
    or from other models, it is worked out anew.
    """
    changed = finished_run(run.path, settings)
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    folder = f"{words}-{work_digest(changed)[:8]}" + ("" if seed is None else f"-seed-{seed}")
    changed = replace(changed, path=work / folder, seed=run.seed if seed is None else seed)
    anew = trained_anew(settings)
    kept = ("filtered_bc", *(model for model in MODELS if model not in anew))
    links = {changed.checkpoint(model): run.checkpoint(model) for model in kept}
    _link(links | {changed.path / "stores": run.path / "stores"})
    return changed


def train_models(changed: Run, settings: Sequence[str]) -> None:
    """Train the models of a row that are to be others than its run's, into the row's own checkpoints."""
    anew, unseen = trained_anew(settings), unseen_sources(settings)
    if unseen:
        lessons = replace(changed, path=changed.path / "lessons")
        stores = {
            lessons.path / "stores" / name: changed.path / "stores" / name for name in ("demonstrations", "check")
        }
        _link(stores | {lessons.path / "checkpoints": changed.path / "checkpoints"})
        without(changed.store("practice"), unseen, lessons.path / "stores" / "practice")
        world_models(lessons)
    elif anew == REWARD_MODELS:
        reward_models(changed)


def _link(folders: dict[Path, Path]) -> None:
    for link, target in folders.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target.resolve(), target_is_directory=True)


def without(store: EpisodeStore, sources: set[str], path: Path) -> None:
    """The episodes of `store` that come from none of `sources`, at `path`; written once."""
    if path.is_dir():
        return
    chosen = [row for row, info in enumerate(store.infos) if info.source not in sources]
    unfinished = path.with_name(path.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    with EpisodeStore.create(unfinished, store.contract) as copy:
        for row in chosen:
            copy.append(store.episode(row))
    unfinished.rename(path)


def refined(
    run: Run, name: str, settings: list[str], work: Path, workers: int, seed: int | None = None
) -> dict[str, Any]:
    """Train what the row has of its own, refine and evaluate on the run's start states."""
    changed, known = row_run(run, name, settings, work, seed), HeldOut.of(run)
    if not (changed.path / "refinement.json").is_file():
        with counted(changed.path):
            train_models(changed, settings)
            for stage in (start_policy, replay_check, refinement):
                stage(changed)
    found = evaluate(run.task, run.contract, changed.checkpoint("refined"), known.seeds, 0.0, workers, progress=False)
    told = ("iteration", "imagined_refined", "judged_refined", "start_kl", "reason", "kept_start_policy")
    result = changed.read("refinement.json")
    computed = {"refinement_cpu_s": cpu_seconds(changed.path)}
    return {key: result[key] for key in told} | computed | scored(name, found, known)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help="default: all; " + " | ".join(ROWS))
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings for every row")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[None],
        help="of all that a row trains, and of the start states that its judge dreams from (default: the run's own)",
    )
    parser.add_argument("--work", type=Path, default=Path("runs/ablations"), help="folder of the rows' own work")
    parser.add_argument("--workers", type=int, default=2, help="processes that evaluate (default: 2)")
    parser.add_argument("--out", type=Path, help="JSON file to write, or to go on with")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    runs = [finished_run(path) for path in options.runs]
    require_dreams(runs)
    for run in runs:
        if run.seed in options.seeds:
            raise SystemExit(f"--seeds {run.seed}: that is {run.path}'s own seed, and no other training: give others")
    if options.rows:
        require_possible(runs, options.rows, options.set)
    rows = options.rows or default_rows(runs, options.set)
    results = Results("ablations", runs, {"set": options.set}, options.out)
    keys = [run_key(run, training_store(run, "demonstrations", "practice", "check").content_hash) for run in runs]
    for name, seed in product(rows, options.seeds):
        for run, key in zip(runs, keys, strict=True):
            if not results.holds(**key, policy=name, seed=seed):
                settings = [*settings_of(run, name), *options.set]
                work = options.work / f"{run.task}-seed-{run.seed}-{key['data'][:8]}"
                trained = {"settings": settings} | ({} if seed is None else {"seed": seed})
                results.add(key | trained | refined(run, name, settings, work, options.workers, seed))
            if not options.set and seed is None:  # the report says that one part is changed
                results.copy(run.path / ABLATIONS, **key, seed=None)
    print(table(results.rows))


if __name__ == "__main__":
    main()

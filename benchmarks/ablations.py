"""What each part of the refinement is worth: the same world models, one part less or more, success in reality.

    python benchmarks/ablations.py runs/seed0 runs/seed1 runs/seed2

RUN is the folder of a finished `world4rl demo`, or of a row of `world4rl benchmark metaworld` (RUN/seed-0/TASK); it is
read, and rows are worked out below --work. A row does what comes after the training of the world models (BC on dreams,
replay check, refinement) under settings of its own, and meets the start states that the run was evaluated on; the row
without random motion trains the models too, on the run's other episodes, which takes as long as they took, and is
refused where a benchmark's tasks share their world models. Every run's first rows come first; what is done is not done
again, so that the same command goes on where it was stopped, in the middle of a refinement too. Writes
benchmarks/results/ablations-TASK.json after every row and prints the table.
Without --set the run's own rows also go to RUN/ablations.json, for its report (`world4rl report RUN`).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from refinement_parts.cpu_time import counted, cpu_seconds
from refinement_parts.results import Results, run_key, scored
from refinement_parts.runs import HeldOut, finished_run, work_digest
from refinement_parts.table import table

from world4rl.collect import evaluate
from world4rl.dreamers import require_dreamers
from world4rl.load_run import ROW
from world4rl.pipeline import refinement, replay_check, start_policy, world_models
from world4rl.report_ablations import ABLATIONS
from world4rl.run_folder import Run, training_store
from world4rl_data.store import EpisodeStore
from world4rl_wm.uncertainty.calibration import UNCERTAINTY

LIMITS = ("refine_from=-1", "cautious_from=-1", "precision_from=0", "min_episodes=0")
NO_RANDOM = "collect.random_episodes=0"
NO_CHECK = tuple(f"replay_check.limits.{limit}" for limit in LIMITS)
ROWS: dict[str, tuple[str, ...]] = {
    "the whole recipe": (),
    "last checkpoint, whatever the judge says": ("selection.by=last", "selection.max_start_kl=1.0e9"),
    "checkpoint by the dream itself": ("selection.by=dream",),
    "success verified by the judge's reward model": ("verified_success=true",),
    "dreams end where the world models disagree": ("imagination.max_uncertainty={limit}",),
    "disagreement has a price": ("imagination.uncertainty_penalty={penalty}",),
    "progress is rewarded": ("imagination.progress_reward=0.3",),
    "starts at key frames too": ("imagination.key_frames=0.3",),
    "anchor to filtered BC": ("ppo.kl_coefficient=0.05",),
    "its own verified dreams are imitated too": ("ppo.imagined_bc=0.5",),
    "one hit is a success": ("imagination.hits=1",),
    "no BC term": ("ppo.bc_coefficient=0",),
    "no KL stop": ("ppo.target_kl=1.0e9",),
    "no value warm-up": ("ppo.value_warm_up=0",),
    "std e^0, the paper's bound": ("ppo.std=1.0",),
    "std learned, e^0 at most": ("ppo.learn_std=true",),
    "no BC on dreams": ("dream_bc.steps=0",),
    "no replay check": NO_CHECK,
    "no random motion for the world models": (NO_RANDOM,),
    "none of these": (
        *("selection.by=last", "selection.max_start_kl=1.0e9", "imagination.hits=1"),
        *("dream_bc.steps=0", "ppo.bc_coefficient=0", "ppo.target_kl=1.0e9", "ppo.value_warm_up=0"),
        *NO_CHECK,
    ),
}
"""Names and their settings; {limit} and {penalty} are the run's own, see `uncertainty_values`."""
MODELS = ("filtered_bc", "world_model_a", "world_model_b", "reward_a", "reward_b")
PENALTY = 0.1
"""Reward that a dream at the limit of uncertainty costs a step."""


def uncertainty_values(run: Run) -> dict[str, float]:
    """A limit that about one frame in twenty of the run's fresh episodes passes, and the price of a unit below it.

    Raises:
        SystemExit: the run's world models have not been calibrated against each other.
    """
    file = run.checkpoint("world_model_a") / UNCERTAINTY
    if not file.is_file():
        raise SystemExit(
            f"{run.path}: its world model's uncertainty is not calibrated: `world4rl calibrate-uncertainty --run "
            f"{run.path}` does it, or leave the rows about disagreement out (--rows)"
        )
    middles = json.loads(file.read_text())["signals"]["models"]["map"]["disagreement"]  # of bins that are equally full
    limit = float(np.interp(0.95, (np.arange(len(middles)) + 0.5) / len(middles), middles))
    return {"limit": limit, "penalty": PENALTY / limit}


def require_possible(run: Run, rows: Sequence[str], settings: Sequence[str]) -> None:
    """Refuse what would fail after other runs' hours of work, or change two things at once.

    Raises:
        SystemExit: the run has no dream; or its world models learned from all tasks, and a row, or `settings` for all
            of them, would train them on this task alone.
    """
    try:
        require_dreamers(run)
    except ValueError as error:
        raise SystemExit(f"{error}; or leave this run out") from error
    trained = [name for name in rows if NO_RANDOM in (*ROWS[name], *settings)]
    if trained and shares_models(run):
        raise SystemExit(
            f"{run.path}: its world models learned from the episodes of all tasks, and anew they would learn from "
            f"those of {run.task} alone: leave out (--rows, --set) {', '.join(trained)}"
        )


def shares_models(run: Run) -> bool:
    """Whether the run is a row of a benchmark whose world models learned from all of its tasks."""
    return (run.path / ROW).is_file() and run.read(ROW)["world_model"]["mode"] == "shared"


def default_rows(runs: Sequence[Run]) -> list[str]:
    """Every row that all of the runs can have; the others are told."""
    if not any(map(shares_models, runs)):
        return list(ROWS)
    left_out = [name for name in ROWS if NO_RANDOM in ROWS[name]]
    print("tasks share their world models, so these rows are left out:", *left_out, sep="\n  ")
    return [name for name in ROWS if name not in left_out]


def settings_of(run: Run, row: str) -> list[str]:
    """The settings that a row puts on top of the run's."""
    told = uncertainty_values(run) if any("{" in text for text in ROWS[row]) else {}
    return [text.format(**told) for text in ROWS[row]]


def row_run(run: Run, name: str, settings: Sequence[str], work: Path) -> Run:
    """A run below `work` with the models and stores of `run` and settings on top of its; without random motion it has
    filtered BC alone of the models.

    Its folder is called after the row and a digest of all its settings and of the run's models: under other settings,
    or from other models, it is worked out anew.
    """
    changed = finished_run(run.path, settings)
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    folder = work / f"{words}-{work_digest(changed)[:8]}"
    changed = replace(changed, path=folder)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    links = {changed.checkpoint(name): run.checkpoint(name) for name in MODELS}
    if NO_RANDOM in settings:
        links = {changed.checkpoint(MODELS[0]): run.checkpoint(MODELS[0])}
        links |= {folder / "stores" / name: run.path / "stores" / name for name in ("demonstrations", "check")}
        purposeful(run.store("practice"), folder / "stores" / "practice")
    else:
        links[folder / "stores"] = run.path / "stores"
    for link, target in links.items():
        if not link.is_symlink():
            link.symlink_to(target.resolve(), target_is_directory=True)
    return changed


def purposeful(store: EpisodeStore, path: Path) -> None:
    """The episodes of `store` that somebody meant something with, at `path`; written once."""
    if path.is_dir():
        return
    chosen = [row for row, info in enumerate(store.infos) if info.source != "random"]
    unfinished = path.with_name(path.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    with EpisodeStore.create(unfinished, store.contract) as copy:
        for row in chosen:
            copy.append(store.episode(row))
    unfinished.rename(path)


def refined(run: Run, name: str, settings: list[str], work: Path, workers: int) -> dict[str, Any]:
    """Refine and evaluate."""
    changed, known = row_run(run, name, settings, work), HeldOut.of(run)
    if not (changed.path / "refinement.json").is_file():
        stages = (start_policy, replay_check, refinement)
        with counted(changed.path):
            for stage in (world_models, *stages) if NO_RANDOM in settings else stages:
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
    parser.add_argument("--work", type=Path, default=Path("runs/ablations"), help="folder of the rows' own work")
    parser.add_argument("--workers", type=int, default=2, help="processes that evaluate (default: 2)")
    parser.add_argument("--out", type=Path, help="JSON file to write, or to go on with")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    runs = [finished_run(path) for path in options.runs]
    rows = options.rows or default_rows(runs)
    for run in runs:
        require_possible(run, rows, options.set)
    results = Results("ablations", runs, {"set": options.set}, options.out)
    keys = [run_key(run, training_store(run, "demonstrations", "practice", "check").content_hash) for run in runs]
    for name in rows:
        for run, key in zip(runs, keys, strict=True):
            if not results.holds(**key, policy=name):
                settings = [*settings_of(run, name), *options.set]
                work = options.work / f"{run.task}-seed-{run.seed}-{key['data'][:8]}"
                results.add(key | {"settings": settings} | refined(run, name, settings, work, options.workers))
            if not options.set:  # the report says that one part is changed
                results.copy(run.path / ABLATIONS, **key)
    print(table(results.rows))


if __name__ == "__main__":
    main()

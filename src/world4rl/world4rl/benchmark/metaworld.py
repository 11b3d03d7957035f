"""The Meta-World benchmark: every task with every seed is a row; an interrupted or divided job goes on row by row."""

from __future__ import annotations

import fcntl
import json
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from world4rl.benchmark.one_policy.folder import FOLDER as ONE_POLICY
from world4rl.benchmark.one_policy.run import one_policy
from world4rl.benchmark.row import (
    CONCLUDE,
    GATHER,
    OWN_MODELS,
    ROW,
    SHARED_MODELS,
    all_finished,
    do_stages,
    write_row,
)
from world4rl.runs.concordance import RESULT as CONCORDANCE
from world4rl.runs.dreamers import DREAMERS, side_by_side
from world4rl.runs.parallel import in_parallel
from world4rl.runs.run_folder import Run, joined_store, training_store
from world4rl.runs.stages import Stages
from world4rl.settings import Preset
from world4rl_data.store import EpisodeStore

WorldModelMode = Literal["shared", "per-task"]
SHARED = "shared"  # folder of the world models over all tasks, beside those of the tasks
STAGE = "world models over all tasks"


@dataclass(frozen=True)
class Benchmark:
    """Which rows, and how. `world_model`: one over all tasks as in the paper, or one for each task. `one_policy`: over
    all tasks, too, once their rows are finished."""

    path: Path
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    preset_name: str
    preset: Preset
    contract_name: str
    world_model: WorldModelMode = "shared"
    one_policy: bool = False

    def run_of(self, task: str, seed: int) -> Run:
        """The folder and settings of a row."""
        path = self.path / f"seed-{seed}" / task
        return Run(path, task, seed, self.preset_name, self.preset, contract_name=self.contract_name)


def run_benchmark(benchmark: Benchmark) -> int:
    """Do every row that is not done yet; returns how many failed. Another process's rows are left to it."""
    failed = 0
    for seed in benchmark.seeds:
        if benchmark.world_model == "per-task":
            groups = [[benchmark.run_of(task, seed)] for task in benchmark.tasks]
        else:
            groups = [[benchmark.run_of(task, seed) for task in benchmark.tasks]]
        for runs in groups:
            lock = runs[0].path if benchmark.world_model == "per-task" else runs[0].path.parent
            with _held(lock) as ours:
                if ours and benchmark.world_model == "per-task":
                    failed += _own_model_row(runs[0])
                elif ours:
                    failed += _shared_model_rows(benchmark, runs)
                    if benchmark.one_policy:
                        failed += _one_policy(runs)
                else:
                    print(f"{lock}: another process is at it")
    return failed


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Every finished row below a benchmark's folder; imagined against real too, where that has been measured."""
    rows = []
    for file in sorted(path.glob(f"seed-*/*/{ROW}")):
        row, tried = json.loads(file.read_text()), file.with_name(CONCORDANCE)
        if tried.is_file():
            row["concordance"] = json.loads(tried.read_text())
        rows.append(row)
    return rows


def _told(folder: Path, work: Callable[[], None]) -> bool:
    """Do `work`; a failure is told and kept in the folder's error.txt, so that what comes next goes on."""
    notice = folder / "error.txt"
    try:
        work()
    except Exception as error:
        notice.write_text(traceback.format_exc())
        print(f"{folder} failed: {error} (more in its error.txt); the same command tries again", flush=True)
        return False
    notice.unlink(missing_ok=True)
    return True


def _own_model_row(run: Run) -> int:
    """A row by itself; returns how many failed."""

    def work() -> None:
        _announce(run)
        if not (run.path / ROW).is_file():
            wall_s = do_stages(run, GATHER | OWN_MODELS | CONCLUDE, shared=False)
            write_row(run, wall_s, {"mode": "per-task", "tasks": [run.task]})

    return int(not _told(run.path, work))


def _shared_model_rows(benchmark: Benchmark, runs: Sequence[Run]) -> int:
    """All rows of a seed; returns how many failed. Without every task's episodes there is no world model for any."""
    if all_finished(runs):
        print(f"seed {runs[0].seed}: done before")
        return 0

    def gather() -> None:
        for run in runs:
            _announce(run)
            do_stages(run, GATHER, shared=True)
        _train_shared(benchmark, runs)

    def conclude(run: Run) -> None:
        _announce(run)
        if (run.path / ROW).is_file():
            return
        for name in DREAMERS:
            _copy_whole(
                _shared_folder(run) / "checkpoints" / f"world_model_{name}", run.checkpoint(f"world_model_{name}")
            )
        spent = do_stages(run, SHARED_MODELS | CONCLUDE, shared=True)
        share = {f"{STAGE}, this task's share": _shared_stages(runs).wall_s[STAGE] / len(runs)}
        write_row(run, spent | share, {"mode": "shared", "tasks": [r.task for r in runs]})

    if not _told(runs[0].path.parent, gather):
        return len(runs)
    return sum(not _told(run.path, partial(conclude, run)) for run in runs)


def _one_policy(runs: Sequence[Run]) -> int:
    """The policy of all tasks of a seed; returns 1 where it failed. It is made of what all the rows have left."""
    if not all_finished(runs):
        print(f"seed {runs[0].seed}: the policy of all tasks waits until every row is finished")
        return 0
    folder = runs[0].path.parent / ONE_POLICY
    folder.mkdir(exist_ok=True)
    return int(not _told(folder, partial(one_policy, runs)))


def _copy_whole(source: Path, target: Path) -> None:
    """A copy, so that a row's folder is whole by itself; an interrupted one leaves nothing under the target's name."""
    if not target.is_dir():
        unfinished = target.with_name(target.name + ".tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(source, unfinished)
        unfinished.rename(target)


def _shared_stages(runs: Sequence[Run]) -> Stages:
    return Stages(_shared_folder(runs[0]), {STAGE: 500.0 * len(runs)})


def _train_shared(benchmark: Benchmark, runs: Sequence[Run]) -> None:
    """Two world models over the episodes of all tasks.

    The preset's training steps are per task: the paper's one model sees each task as often as a model of its own would.
    """
    _shared_folder(runs[0]).mkdir(parents=True, exist_ok=True)
    steps = benchmark.preset.world_model.training.steps * len(runs)
    jobs = [(tuple(runs), name, first + runs[0].seed, steps) for name, first in DREAMERS.items()]

    def work() -> None:
        _all_episodes(runs)
        in_parallel(train_shared_world_model, jobs)

    _shared_stages(runs).run(STAGE, work)


def train_shared_world_model(runs: tuple[Run, ...], name: str, seed: int, steps: int) -> None:
    """World model `name` over the episodes of all `runs`; a job for `in_parallel`."""
    from world4rl_wm.training.train_world_model import train_world_model

    side_by_side(name)
    store, first = _all_episodes(runs), runs[0]
    settings = first.preset.world_model
    train_world_model(
        store,
        range(len(store)),
        first.preset.world_model_config(first.contract),
        _shared_folder(first) / "checkpoints" / f"world_model_{name}",
        replace(settings.training, steps=steps),
        seed,
        first.progress,
    )


def _all_episodes(runs: Sequence[Run]) -> EpisodeStore:
    """One store with the training episodes of all tasks, written once."""
    parts = [training_store(run, "demonstrations", "practice") for run in runs]
    return joined_store(_shared_folder(runs[0]) / "stores" / "all", parts)


def _shared_folder(run: Run) -> Path:
    return run.path.parent / SHARED


def _announce(run: Run) -> None:
    done = ": done before" if (run.path / ROW).is_file() else ""
    print(f"== {run.task}, seed {run.seed}{done}", flush=True)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether this process alone works in `folder` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True

"""Which rows a run can have: told before the first is worked out, for a row takes hours."""

from __future__ import annotations

from collections.abc import Sequence

from ablation_parts.rows import MODELS, REWARD_MODELS, ROWS, settings_of, trained_anew, unseen_sources
from refinement_parts.runs import HeldOut, finished_run

from world4rl.runs.dreamers import DREAMERS, require_dreamers
from world4rl.runs.load_run import ROW
from world4rl.runs.run_folder import Run, training_store
from world4rl_wm.imagination.key_frames import with_key_frames
from world4rl_wm.imagination.start_sampler import StartSampler
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.data import set_aside_by_outcome
from world4rl_wm.reward.model import RewardModel


def require_dreams(runs: Sequence[Run]) -> None:
    """Refuse runs that can have no row at all.

    Raises:
        SystemExit: a run has no dream, or its policies did not meet the same start states.
    """
    for run in runs:
        HeldOut.of(run)
        try:
            require_dreamers(run)
        except ValueError as error:
            raise SystemExit(f"{error}; or leave this run out") from error


def default_rows(runs: Sequence[Run], settings: Sequence[str]) -> list[str]:
    """Every row that all of the runs can have with `settings` on top; the others are told.

    Raises:
        SystemExit: none is left.
    """
    refused = _refused(runs, list(ROWS), settings)
    for reason, names in refused.items():
        print("left out:", *names, f"for {reason}", sep="\n  ")
    rows = [name for name in ROWS if not any(name in names for names in refused.values())]
    if not rows:
        raise SystemExit("no row is left: change --set")
    return rows


def require_possible(runs: Sequence[Run], rows: Sequence[str], settings: Sequence[str]) -> None:
    """Refuse rows that a run cannot have.

    Raises:
        SystemExit: there are some; it names each with what to do.
    """
    refused = _refused(runs, rows, settings)
    if refused:
        told = [f"{reason}; or leave out (--rows, --set) {', '.join(names)}" for reason, names in refused.items()]
        raise SystemExit("\n".join(told))


def _refused(runs: Sequence[Run], rows: Sequence[str], settings: Sequence[str]) -> dict[str, list[str]]:
    """Reasons, with run and what to do, and the rows that each keeps a run from having."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for row in rows:
            try:
                _require(run, [*settings_of(run, row), *settings])
            except ValueError as error:
                found.setdefault(f"{run.path}: {error}", []).append(row)
    return found


def _require(run: Run, settings: Sequence[str]) -> None:
    """Raises ValueError where the run cannot go on under these settings, or would change two things at once."""
    anew, changed = trained_anew(settings), finished_run(run.path, settings)
    if anew == MODELS and shares_models(run):
        raise ValueError(
            "its world models learned from the episodes of all tasks, and anew they would learn from those of "
            f"{run.task} alone: take runs with world models of their own (--world-model per-task)"
        )
    store, preset = training_store(run, "demonstrations", "practice"), changed.preset
    if anew:
        episodes = [row for row, info in enumerate(store.infos) if info.source not in unseen_sources(settings)]
        for first in DREAMERS.values():  # too few of an outcome are refused
            set_aside_by_outcome(store, episodes, preset.reward.calibration.episodes, first + run.seed)
    if preset.imagination.progress_reward and not _tells_progress(changed, anew):
        raise ValueError(
            "its reward models tell no progress: `--set reward.network.progress=true` trains others that do, for "
            "every row"
        )
    if preset.imagination.key_frames:
        history = WorldModel.load(run.checkpoint("world_model_a")).history
        StartSampler(with_key_frames(store, range(len(store)), history), preset.imagination.key_frames)


def _tells_progress(run: Run, anew: Sequence[str]) -> bool:
    """Whether the reward models do, of which those named in `anew` are yet to be trained."""
    if anew:
        return run.preset.reward_config(run.contract).progress
    return all(RewardModel.load(run.checkpoint(name)).tells_progress for name in REWARD_MODELS)


def shares_models(run: Run) -> bool:
    """Whether the run is a row of a benchmark whose world models learned from all of its tasks."""
    return (run.path / ROW).is_file() and run.read(ROW)["world_model"]["mode"] == "shared"

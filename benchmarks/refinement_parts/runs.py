"""A finished run from its folder: one of `world4rl demo`, or one row of `world4rl benchmark metaworld`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from world4rl.presets import preset_values
from world4rl.runs.dreamers import DREAMERS
from world4rl.runs.load_run import load_run
from world4rl.runs.outcomes import POLICIES
from world4rl.runs.record import checkpoint_digest
from world4rl.runs.run_folder import Run

LEARNED = ("filtered_bc", "start", *(f"{kind}_{name}" for kind in ("world_model", "reward") for name in DREAMERS))
"""Checkpoints of a run that a benchmark goes on from."""


def finished_run(path: Path, settings: Sequence[str] = ()) -> Run:
    """As `load_run`, of a run that was evaluated.

    Raises:
        SystemExit: it was not.
    """
    if not all((path / "evaluation" / f"{name}.json").is_file() for name in POLICIES):
        raise SystemExit(f"{path} is no finished run: its evaluation/ must hold {', '.join(POLICIES)}")
    return load_run(path, settings=settings)


def work_digest(run: Run) -> str:
    """16 hex digits that change with a run's settings and with the weights that a benchmark goes on from."""
    there = [name for name in LEARNED if run.checkpoint(name).is_dir()]
    weights = {name: checkpoint_digest(run.checkpoint(name)) for name in there}
    return _digest({"settings": preset_values(run.preset), "weights": weights})


def row_digest(run: Run) -> str:
    """16 hex digits that change with all that a row follows from besides the run's episodes: the same, and the outcomes
    of the run's own policies, with which it is paired."""
    outcomes = {name: run.read(f"evaluation/{name}.json") for name in POLICIES}
    return _digest({"work": work_digest(run), "outcomes": outcomes})


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class HeldOut:
    """The start states that a run was evaluated on, by their seeds, and what its own policies made of them."""

    seeds: list[int]
    success: dict[str, list[bool]]

    @classmethod
    def of(cls, run: Run) -> HeldOut:
        """Raises SystemExit where the run's policies were not evaluated on the same start states."""
        found = {name: run.read(f"evaluation/{name}.json") for name in POLICIES}
        seeds = found[POLICIES[0]]["seeds"]
        other = [name for name in POLICIES if found[name]["seeds"] != seeds]
        if other:
            raise SystemExit(f"{run.path}: {', '.join(other)} met other start states than {POLICIES[0]}")
        return cls(seeds, {name: values["success"] for name, values in found.items()})

    @classmethod
    def for_choosing(cls, run: Run) -> HeldOut:
        """Start states of another range: settings are chosen on these, and nothing is reported from them."""
        return cls(list(run.seeds.take("measure", min(100, len(cls.of(run).seeds)))), {})

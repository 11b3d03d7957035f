"""A benchmark's file of results: written after every row, so that an interrupted job goes on where it was."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refinement_parts.runs import HeldOut, row_digest

from world4rl.episodes.collect import Evaluation
from world4rl.runs.machine import machine
from world4rl.runs.outcomes import encode_outcomes
from world4rl.runs.run_folder import Run
from world4rl_data.durable import replace_file
from world4rl_policy.statistics import compare, wilson_interval
from world4rl_wm.checkpoint import provenance

RESULTS = Path(__file__).resolve().parents[1] / "results"
SAME = ("task", "run_seed", "preset", "data", "policy", "seed")
"""What rows tell of one training on one run, besides the digest of what it was made of (`run_key`)."""


class Results:
    """Rows in `out`, or in results/NAME-TASKS.json. Several processes may add rows to one file.

    Raises:
        SystemExit: the file holds results of other settings; of `add` and `copy` too.
    """

    def __init__(self, name: str, runs: list[Run], setting: dict[str, Any], out: Path | None) -> None:
        tasks = "+".join(sorted({run.task for run in runs}))
        self.path = out or RESULTS / f"{name}-{tasks}.json"
        self._head = {"benchmark": name, "setting": json.loads(json.dumps(setting))}
        self.rows = self._read()

    def holds(self, **key: Any) -> bool:
        """Whether a row has these values; one that does not say what it was made of is told and not taken for it."""
        if self._rows_with(key):
            return True
        for row in self._rows_with(key | {"made_of": None}):
            told = f"{row['task']}, seed {row['run_seed']}, {row['policy']}"
            print(f"{self.path}: its row of {told} is from before rows told their settings and weights: made anew")
        return False

    def add(self, row: dict[str, Any]) -> None:
        """Append a row and write the file, whole or not at all. It takes the place of one that is the same training on
        the same run, as far as that one tells."""
        with self._newest_rows():
            self.rows = [old for old in self.rows if not _same(old, row)]
            self.rows.append(row | {"machine": machine()})
            hashes = {f"{row['task']}, seed {row['run_seed']}": row["data"] for row in self.rows}
            self._write(self.path, {"rows": self.rows, "provenance": provenance(None, hashes)})

    def copy(self, path: Path, **key: Any) -> None:
        """Write the rows that have these values to a file of their own."""
        with self._newest_rows():
            self._write(path, {"rows": self._rows_with(key)})

    @contextmanager
    def _newest_rows(self) -> Iterator[None]:
        """`rows` as the file has them, which no other process writes meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.rows = self._read()
            yield

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        found = json.loads(self.path.read_text())
        if found["setting"] != self._head["setting"]:
            raise SystemExit(f"{self.path} holds results of other settings: give another --out, or remove it")
        return list(found["rows"])

    def _write(self, path: Path, values: dict[str, Any]) -> None:
        replace_file(path, json.dumps(self._head | values, indent=1) + "\n")

    def _rows_with(self, key: dict[str, Any]) -> list[dict[str, Any]]:
        return [row for row in self.rows if all(row.get(name) == value for name, value in key.items())]


def _same(old: dict[str, Any], row: dict[str, Any]) -> bool:
    alike = all(old.get(name) == row.get(name) for name in SAME)
    return alike and old.get("made_of") in (None, row["made_of"])


def run_key(run: Run, data: str) -> dict[str, Any]:
    """What tells a run from others; `data` is the content hash of its real episodes. A run that was refined again in
    its folder, or under other settings in another one, is another run."""
    told = {"task": run.task, "run_seed": run.seed, "preset": run.preset_name, "data": data}
    return told | {"made_of": row_digest(run)}


def scored(name: str, found: Evaluation, known: HeldOut) -> dict[str, Any]:
    """A policy's outcomes beside those of the run's own policies: rates, intervals, and pairs on the same start states.

    Pairs are called ``B_vs_A`` and tell success of B minus that of A, as in a run's summary.
    """
    pairs = {}
    for other, success in known.success.items():
        if other == "refined":
            pairs[f"refined_vs_{name}"] = compare(found.success, success).to_dict()
        else:
            pairs[f"{name}_vs_{other}"] = compare(success, found.success).to_dict()
    return {
        "policy": name,
        "success": found.rate,
        "ci95": wilson_interval(sum(found.success), len(found.success)),
        "episodes": len(found.success),
        "paired": pairs,
        "outcomes": {key: encode_outcomes(value) for key, value in (known.success | {name: found.success}).items()},
    }

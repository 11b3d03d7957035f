"""Stages of a run: each is done once, timed, announced with an estimate, and skipped when the run goes on later."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from world4rl_data.durable import replace_file

FILE = "stages.json"
S = TypeVar("S")
Work = tuple[Callable[[S], object], float]
"""What a stage does to its subject, and its usual seconds."""


class Stages:
    """Progress of a run, kept in ``stages.json``; `expected` names the stages in order with their usual seconds."""

    def __init__(self, run: Path, expected: Mapping[str, float], announce: Callable[[str], None] = print):
        self._path = run / FILE
        self._expected = dict(expected)
        self._announce = announce
        self._known: dict[str, dict[str, float | bool]] = {}
        if self._path.is_file():
            self._known = json.loads(self._path.read_text())

    @classmethod
    def of(cls, run: Path, table: Mapping[str, Work[S]]) -> Stages:
        """Those of a `table` of stages."""
        return cls(run, {name: seconds for name, (_, seconds) in table.items()})

    def do(self, table: Mapping[str, Work[S]], subject: S) -> None:
        """Do the stages of `table`, all of them or a part, on `subject` unless this run has done them before."""
        for name, (work, _) in table.items():
            self.run(name, partial(work, subject))

    def done(self, name: str) -> bool:
        return bool(self._known.get(name, {}).get("done", False))

    @property
    def wall_s(self) -> dict[str, float]:
        """Seconds spent per stage, interrupted attempts included."""
        return {name: float(values["wall_s"]) for name, values in self._known.items()}

    def run(self, name: str, work: Callable[[], object]) -> None:
        """Do `work` unless this run has done it before."""
        position = f"[{list(self._expected).index(name) + 1}/{len(self._expected)}] {name}"
        if self.done(name):
            self._announce(f"{position}: done before")
            return
        left = self.remaining_s()
        ending = (datetime.now() + timedelta(seconds=left)).strftime("%H:%M")
        self._announce(
            f"{position}: about {_minutes(self._expected[name])}; the run ends in about {_minutes(left)}, at {ending}"
        )
        before = float(self._known.get(name, {}).get("wall_s", 0.0))
        started = time.monotonic()
        finished = False
        try:
            work()
            finished = True
        finally:
            self._note(name, before + time.monotonic() - started, finished)

    def forget(self, name: str) -> None:
        """Have a stage done again; the time that it took before still counts."""
        if self.done(name):
            self._note(name, self.wall_s[name], False)

    def remaining_s(self) -> float:
        """Expected seconds of the stages not done yet, corrected by how fast this machine has been so far."""
        done = [n for n in self._expected if self.done(n)]
        expected = sum(self._expected[n] for n in done)
        pace = sum(self.wall_s[n] for n in done) / expected if expected > 30 else 1.0
        return pace * sum(s for n, s in self._expected.items() if not self.done(n))

    def _note(self, name: str, wall_s: float, done: bool) -> None:
        self._known[name] = {"wall_s": round(wall_s, 2), "done": done}
        replace_file(self._path, json.dumps(self._known, indent=2))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

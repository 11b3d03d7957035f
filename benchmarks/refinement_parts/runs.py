"""A finished run from its folder: one of `world4rl demo`, or one row of `world4rl benchmark metaworld`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from world4rl.load_run import load_run
from world4rl.run_folder import Run
from world4rl.summary import POLICIES


def finished_run(path: Path, settings: Sequence[str] = ()) -> Run:
    """As `load_run`, of a run that was evaluated.

    Raises:
        SystemExit: it was not.
    """
    if not all((path / "evaluation" / f"{name}.json").is_file() for name in POLICIES):
        raise SystemExit(f"{path} is no finished run: its evaluation/ must hold {', '.join(POLICIES)}")
    return load_run(path, settings=settings)


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

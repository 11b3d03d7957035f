"""Rows of a rival or an oracle as a table, next to the run's own policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world4rl.runs.outcomes import NAMES, POLICIES, decode_outcomes
from world4rl_policy.statistics import clustered_interval, crossed_interval, seed_interval, wilson_interval

HEAD = (
    "run",
    "policy",
    "trainings",
    "success [95 %]",
    "minus filtered BC [95 %]",
    "refined minus it [95 %]",
    "McNemar's p against refined",
)

Row = dict[str, Any]
RunKey = tuple[str, int, str, str]
"""Task, seed, digests of its episodes and of what else the rows were made of; rows of before tell no such digest."""


def table(rows: Sequence[Row]) -> str:
    """Markdown: for each run its own policies and the rivals; over several runs the rivals' means.

    Intervals of a run resample a rival's trainings, and start states that all of them share. Over several runs, with a
    rival's trainings averaged, there are two: Student's t over the runs of a task, where one has several, and a
    bootstrap that resamples runs, then start states.
    """
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    runs = list(dict.fromkeys(map(_run, rows)))
    names = _names(runs)
    rivals = list(dict.fromkeys(row["policy"] for row in rows))
    for run in runs:
        own = [row for row in rows if _run(row) == run]
        known = {name: _outcomes(own[0], name) for name in POLICIES if name in own[0]["outcomes"]}
        lines += [_line([names[run], NAMES[name], "1", _rate(value), "", "", ""]) for name, value in known.items()]
        lines += [_rival(names[run], name, [row for row in own if row["policy"] == name]) for name in rivals]
    if len({run[:2] for run in runs}) < len(runs):
        return "\n".join([*filter(None, lines), "", "No means: a task and seed has several runs."])
    if len(runs) > 1:
        lines += [
            _mean(name, [[r for r in rows if _run(r) == run and r["policy"] == name] for run in runs])
            for name in rivals
        ]
    return "\n".join(line for line in lines if line)


def _run(row: Row) -> RunKey:
    return row["task"], row["run_seed"], row["data"], row.get("made_of", "")


def _names(runs: Sequence[RunKey]) -> dict[RunKey, str]:
    """Runs by task and seed, and where that is not enough by their digests."""
    seeds = [run[:2] for run in runs]
    more = {run: f" ({run[3] or run[2]})" if seeds.count(run[:2]) > 1 else "" for run in runs}
    return {run: f"{run[0]}, seed {run[1]}{more[run]}" for run in runs}


def _outcomes(row: Row, name: str) -> NDArray[np.float64]:
    return decode_outcomes(row["outcomes"][name])


def _differences(row: Row, a: str, b: str) -> NDArray[np.float64]:
    """-1, 0 or 1 for each start state: success of `b` minus that of `a`."""
    return _outcomes(row, b) - _outcomes(row, a)


def _rival(run: str, name: str, rows: list[Row]) -> str:
    if not rows:
        return ""
    cells = [run, name, str(len(rows))]
    if len(rows) == 1:
        cells.append(_rate(_outcomes(rows[0], name)))
    else:
        cells.append(_share(*crossed_interval([_outcomes(row, name) for row in rows])))
    if not rows[0]["paired"]:
        return _line([*cells, "", "", ""])
    cells += [
        _points(*crossed_interval([_differences(row, *pair) for row in rows]))
        for pair in (("filtered_bc", name), (name, "refined"))
    ]
    return _line([*cells, " / ".join(f"{row['paired'][f'refined_vs_{name}']['mcnemar_p']:.2g}" for row in rows)])


def _mean(name: str, by_run: list[list[Row]]) -> str:
    by_run = [rows for rows in by_run if rows]
    if len(by_run) < 2 or not by_run[0][0]["paired"]:
        return ""
    cells = [f"mean of {len(by_run)} runs", name, str(sum(map(len, by_run)))]
    tasks = [rows[0]["task"] for rows in by_run]
    cells.append(_over_runs(tasks, [np.mean([_outcomes(r, name) for r in rows], 0) for rows in by_run], _percent))
    for pair in (("filtered_bc", name), (name, "refined")):
        parts = [np.mean([_differences(row, *pair) for row in rows], 0) for rows in by_run]
        cells.append(_over_runs(tasks, parts, _signed))
    return _line([*cells, ""])


def _over_runs(tasks: Sequence[str], parts: Sequence[NDArray[np.float64]], text: Callable[[float], str]) -> str:
    """Mean of runs, whose `tasks` and values by start state these are, with both intervals."""
    mean, *bootstrap = clustered_interval(parts)
    by_task: dict[str, list[float]] = {}
    for task, part in zip(tasks, parts, strict=True):
        by_task.setdefault(task, []).append(float(part.mean()))
    intervals = {"t": seed_interval(list(by_task.values())), "bootstrap": bootstrap}
    told = [f"{name} [{text(pair[0])}, {text(pair[1])}]" for name, pair in intervals.items() if pair is not None]
    return ", ".join([text(mean), *told])


def _rate(outcomes: NDArray[np.float64]) -> str:
    return _share(float(outcomes.mean()), *wilson_interval(int(outcomes.sum()), len(outcomes)))


def _share(mean: float, low: float, high: float) -> str:
    return f"{_percent(mean)} [{_percent(low)}, {_percent(high)}]"


def _points(mean: float, low: float, high: float) -> str:
    return f"{_signed(mean)} [{_signed(low)}, {_signed(high)}]"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"

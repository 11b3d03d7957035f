"""The one policy of all tasks as a table: what refinement gave it, and how it stands to the policies of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from world4rl.benchmark.table import imagined_and_real, points
from world4rl_policy.statistics import clustered_interval, seed_interval
from world4rl_sim.metaworld.names import short_name

Row = dict[str, Any]
HEAD = (
    "one policy: task",
    "seed",
    "filtered BC (own policy)",
    "refined (own policy)",
    "refined - filtered BC [95 %]",
    "refined - own refined [95 %]",
    "replay check J",
    "practised",
)
PAIRS = ("refined_vs_filtered_bc", "refined_vs_alone")


def one_policy_table(rows: Sequence[Row]) -> str:
    """Markdown: a row for each task and seed, then the mean, and what was imagined against what was real. In
    brackets the policies that know the task alone."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for row in sorted(rows, key=lambda row: (row["task"], row["seed"])):
        check, pairs = row["replay_check"], [row["paired"][name] for name in PAIRS]
        words = [short_name(row["task"]), str(row["seed"]), *_shares([row])]
        words += [points(pair["difference"], *pair["ci95"]) for pair in pairs]
        words += ["undecided" if check["j"] is None else f"{check['j']:.2f}", "yes" if row["practised"] else "no"]
        lines.append("| " + " | ".join(words) + " |")
    kept = {row["seed"] for row in rows if row["refinement"]["kept_start_policy"]}
    end = f"filtered BC kept in seeds {', '.join(map(str, sorted(kept)))}" if kept else ""
    words = ["mean", "", *(f"**{share}**" for share in _shares(rows)), *(_mean(rows, name) for name in PAIRS), "", end]
    said = ["", *tried] if (tried := imagined_and_real(rows)) else []
    return "\n".join([*lines, "| " + " | ".join(words) + " |", *said])


def _shares(rows: Sequence[Row]) -> list[str]:
    """Success of filtered BC and of the refined policy, each with that of the task's own policy."""
    kinds = ("filtered_bc", "refined")
    means = [
        [float(np.mean([row[f"{kind}{who}_success"] for row in rows])) for who in ("", "_alone")] for kind in kinds
    ]
    return [f"{one:.1%} ({alone:.1%})" for one, alone in means]


def _mean(rows: Sequence[Row], pair: str) -> str:
    """The difference over all rows, and its intervals over seeds: Student's t, and a bootstrap of seeds, then episodes.

    A seed is one training for all its tasks, so that a single seed says nothing of others; nor is there a t where one
    lacks a task: how far tasks lie apart would pass for how far seeds do.
    """
    by_seed = [[row for row in rows if row["seed"] == seed] for seed in sorted({row["seed"] for row in rows})]
    parts = [np.concatenate([_gains(row, pair) for row in own]) for own in by_seed]
    mean, *bootstrap = clustered_interval(parts)
    told = [f"{100 * mean:+.1f}"]
    if len({frozenset(row["task"] for row in own) for own in by_seed}) == 1:
        by_t = seed_interval([[float(part.mean()) for part in parts]])
        told += [] if by_t is None else [f"t [{100 * by_t[0]:+.1f}, {100 * by_t[1]:+.1f}]"]
    if len(parts) > 1:
        told.append("bootstrap [{:+.1f}, {:+.1f}]".format(*(100 * bound for bound in bootstrap)))
    return ", ".join(told)


def _gains(row: Row, pair: str) -> np.ndarray:
    """-1, 0 or 1 for each start state, in no order."""
    found = row["paired"][pair]
    gained, lost = found["gained"], found["lost"]
    return np.repeat([1.0, -1.0, 0.0], [gained, lost, found["episodes"] - gained - lost])

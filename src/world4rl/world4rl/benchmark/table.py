"""Rows of the Meta-World benchmark as one result: means, paired differences, and a table next to the paper's column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from world4rl.runs.outcomes import NAMES, PAIRS, POLICIES, decode_outcomes
from world4rl_policy.statistics import clustered_interval, seed_interval, verdict
from world4rl_sim.metaworld.names import short_name

PAPER_GAIN = {"coffee-pull": 0.21, "lever-pull": 0.21, "soccer": 0.13}
PAPER_MEAN = {"bc": 0.515, "refined": 0.675}
"""World4RL (arXiv 2509.19080) over six tasks and three seeds: what secondary summaries of the paper give."""
PAPER_STEPS, PAPER_SEEDS, PAPER_TASKS, PAPER_CONTRACT = 50, 3, 6, "metaworld_64"
PAPER_PRESET = "metaworld/paper"
PAPER_TRAJECTORIES = {"expert": 50, "policy": 150, "random": 30}
PAPER_EPISODES = sum(PAPER_TRAJECTORIES.values())
"""Real episodes of a task in all: the paper has none for a replay check, from whose successes policies learn here."""
NOT_PROTOCOL = ("description", "collect.workers", "evaluation.concordance_episodes", "evaluation.graph_episodes")
"""Settings that change nothing of what is learned and measured by it."""

Row = dict[str, Any]


def result(rows: Sequence[Row]) -> dict[str, Any]:
    """What goes into ``benchmarks/results/metaworld-*.json``.

    Differences are paired on the same start states. Their intervals: a bootstrap that resamples training seeds, then
    episodes within them, and one by Student's t over the trainings (`seed_interval`).
    """
    first, departures = rows[0], departures_from_paper(rows)
    return {
        "benchmark": "metaworld",
        "preset": first["preset"],
        "contract": first["contract"],
        "paper_protocol": not departures,
        "departures_from_paper": departures,
        "means": {name: float(np.mean([row[f"{name}_success"] for row in rows])) for name in POLICIES},
        "differences": {f"{b}_minus_{a}": difference(rows, a, b) for a, b in PAIRS},
        "worse_than_bc": [short_name(task) for task in _tasks(rows) if _lost(rows, task)],
        "refined_rows": sum(not row["refinement"]["kept_start_policy"] for row in rows),
        "hours": sum(sum(row["wall_s"].values()) for row in rows) / 3600,
        "machine": first["machine"],
        "versions": first["versions"],
        "paper": {"mean": PAPER_MEAN, "gain": PAPER_GAIN, "source": "secondary summaries of arXiv 2509.19080"},
        "tasks": list(rows),
    }


def departures_from_paper(rows: Sequence[Row]) -> list[str]:
    """What differs from the paper's protocol in any row, each thing once; empty where all is as it says."""
    found = [departure for row in rows for departure in _departures(row)]
    episodes = [row["real_episodes"] for row in rows]
    if set(episodes) != {PAPER_EPISODES}:
        low, high = min(episodes), max(episodes)
        number = low if low == high else f"{low} to {high}"
        found.append(f"{number} real episodes a task, the paper has {PAPER_EPISODES}")
    if len(_tasks(rows)) < PAPER_TASKS:
        found.append(f"fewer than {PAPER_TASKS} tasks")
    if any(len({row["seed"] for row in rows if row["task"] == task}) < PAPER_SEEDS for task in _tasks(rows)):
        found.append(f"fewer than {PAPER_SEEDS} seeds of a task")
    return list(dict.fromkeys(found))


def _departures(row: Row) -> Iterator[str]:
    settings = row.get("settings")
    if settings is None:  # of before rows told them
        yield f"preset {row['preset']} with settings that are not known"
    elif settings["preset"] != PAPER_PRESET:
        yield f"preset {row['preset']}"
    for key, value in (settings or {"changed": {}})["changed"].items():
        if key not in NOT_PROTOCOL:
            yield f"{key}={value}"
    have = row.get("trajectories", {})
    if settings is not None and have != PAPER_TRAJECTORIES:
        yield ", ".join(f"{number} {kind}" for kind, number in have.items()) + " trajectories"
    if row["episode_steps"] != PAPER_STEPS or row["contract"] != PAPER_CONTRACT:
        yield f"{row['episode_steps']}-step episodes at the contract {row['contract']}"
    if row["world_model"]["mode"] != "shared":
        yield "a world model for each task"
    elif len(row["world_model"].get("tasks", ())) < PAPER_TASKS:
        yield f"a world model over fewer than {PAPER_TASKS} tasks"


def _tasks(rows: Sequence[Row]) -> list[str]:
    return sorted({row["task"] for row in rows})


def _missing(rows: Sequence[Row]) -> list[str]:
    """Tasks that a seed lacks and another has, where a seed's tasks share a world model and are one training."""
    if not any(row["world_model"]["mode"] == "shared" for row in rows):
        return []
    have, seeds = {(row["task"], row["seed"]) for row in rows}, sorted({row["seed"] for row in rows})
    return [f"{short_name(task)}, seed {seed}" for task in _tasks(rows) for seed in seeds if (task, seed) not in have]


def _lost(rows: Sequence[Row], task: str) -> bool:
    """Whether refinement made a task worse, in a seed beyond chance or over its seeds by the bootstrap.

    A gain over seeds is claimed by two intervals and an exact test (`seeds_verdict`). Of a loss the bootstrap alone
    warns, though it is too narrow for few seeds: a warning too many costs a look, one that is missed a robot that does
    worse than before.
    """
    own = [row for row in rows if row["task"] == task]
    pairs = [row["paired"]["refined_vs_bc"] for row in own]
    told = [verdict(*pair["ci95"], mcnemar_p=pair["mcnemar_p"]) for pair in pairs]
    if len(own) > 1:
        over_seeds = difference(own, "bc", "refined")
        told.append(verdict(over_seeds["low"], over_seeds["high"]))
    return "worse" in told


def difference(rows: Sequence[Row], a: str, b: str) -> dict[str, Any]:
    """Mean over the rows of success of policy `b` minus that of `a`, with its 95 % intervals, all as shares of 1.

    `low` and `high`: of the bootstrap; `seed_t95`: by Student's t, None where no task has two seeds, or where a seed
    that is one training lacks a task: how far tasks lie apart would pass for how far seeds do.
    """
    seeds = sorted({row["seed"] for row in rows})
    parts = [np.concatenate([_gains(row, a, b) for row in rows if row["seed"] == seed]) for seed in seeds]
    mean, low, high = clustered_interval(parts)
    if any(row["world_model"]["mode"] == "shared" for row in rows):  # then the tasks of a seed are one training
        trainings = [] if _missing(rows) else [[part.mean() for part in parts]]
    else:
        trainings = [[_gains(row, a, b).mean() for row in rows if row["task"] == task] for task in _tasks(rows)]
    return {"mean": mean, "low": low, "high": high, "seed_t95": seed_interval(trainings)}


def _gains(row: Row, a: str, b: str) -> np.ndarray:
    """-1, 0 or 1 for each start state."""
    return decode_outcomes(row["outcomes"][b]) - decode_outcomes(row["outcomes"][a])


def table(found: Mapping[str, Any]) -> str:
    """Markdown of a `result`: a row for each task and seed, then the mean, next to what the paper reports."""
    head = ["task", "seed", *NAMES.values(), "refined - BC [95 %]", "replay check J", "kept", "paper: refined - BC"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in sorted(found["tasks"], key=lambda row: (row["task"], row["seed"])):
        pair, check = row["paired"]["refined_vs_bc"], row["replay_check"]
        gain = PAPER_GAIN.get(short_name(row["task"]))
        words = [short_name(row["task"]), row["seed"], *(f"{row[f'{name}_success']:.1%}" for name in POLICIES)]
        words += [
            points(pair["difference"], *pair["ci95"]),
            "undecided" if check["j"] is None else f"{check['j']:.2f}",
        ]
        words += [
            "filtered BC" if row["refinement"]["kept_start_policy"] else f"iteration {row['refinement']['iteration']}"
        ]
        words += ["" if gain is None else f"{100 * gain:+.0f}"]
        lines.append("| " + " | ".join(map(str, words)) + " |")
    gain = found["differences"]["refined_minus_bc"]
    means = [f"**{found['means'][name]:.1%}**" for name in POLICIES]
    paper = f"{100 * (PAPER_MEAN['refined'] - PAPER_MEAN['bc']):+.0f} (six tasks: {PAPER_MEAN['bc']:.1%} to "
    paper += f"{PAPER_MEAN['refined']:.1%})"
    last = ["mean", "", *means, points(gain["mean"], gain["low"], gain["high"]), "", "", paper]
    return "\n".join([*lines, "| " + " | ".join(last) + " |"])


def imagined_and_real(rows: Sequence[Row]) -> list[str]:
    """What was found of dreams and reality in the rows where both were tried, as a line; none where they were not."""
    tried = [row["concordance"] for row in rows if "concordance" in row]
    if not tried:
        return []
    bias = [100 * one["bias"]["mean"] for one in tried]
    regret = [100 * one["regret"] for one in tried]
    return [
        f"- imagined against real, {len(tried)} rows: the judge's dreams promise {np.mean(bias):+.1f} points over "
        f"what is real ({min(bias):+.1f} to {max(bias):+.1f}), {sum(one['ordered'] for one in tried):g} of "
        f"{sum(one['pairs'] for one in tried)} pairs of policies in the right order, the chosen policy "
        f"{np.mean(regret):.1f} points below the best one (at most {max(regret):.1f}), "
        "too much on average, for the best one has had luck as well"
    ]


def notes(found: Mapping[str, Any]) -> str:
    """What must be said beside the table of a `result`."""
    rows, first, said = found["tasks"], found["tasks"][0], []
    missing = "; ".join(_missing(found["tasks"]))
    no_seeds = f"no interval over seeds, rows are missing: {missing}"
    if not missing:
        no_seeds = "one seed a task says nothing of others"
    for a, b in PAIRS:
        told = found["differences"][f"{b}_minus_{a}"]
        seeds = told["seed_t95"]
        by_t = no_seeds if seeds is None else f"[{_pair(*seeds)}] by Student's t"
        gain = points(told["mean"], told["low"], told["high"])
        said.append(f"- {NAMES[b]} minus {NAMES[a]}: {gain} points, 95 % bootstrap over seeds, then episodes; {by_t}")
    kept = len(rows) - found["refined_rows"]
    said.append(
        f"- {len(rows)} rows, {first['episodes']} unseen start states each, {found['hours']:.1f} hours; refined in "
        + (f"{found['refined_rows']}, filtered BC was kept in {kept}" if kept else "all")
    )
    said += imagined_and_real(rows)
    worse = ", ".join(found["worse_than_bc"]) or "none"
    said.append(
        "- tasks where the refined policy is worse than BC, in any seed beyond chance, or over seeds by the bootstrap "
        f"alone, which warns too often rather than too seldom: {worse}"
    )
    if not found["paper_protocol"]:
        said.append(
            f"- not the paper's protocol ({'; '.join(found['departures_from_paper'])}), so its column, which "
            "is from summaries of the paper by others, is for orientation only"
        )
    return "\n".join(said)


def points(mean: float, low: float, high: float) -> str:
    """A difference of shares with its interval, in points of 100."""
    return f"{100 * mean:+.1f} [{_pair(low, high)}]"


def _pair(low: float, high: float) -> str:
    return f"{100 * low:+.1f}, {100 * high:+.1f}"

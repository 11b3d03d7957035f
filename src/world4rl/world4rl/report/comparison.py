"""Several runs on one page: success beside each other, what differs between them, what the seeds say together."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from world4rl.presentation.html import duration, environment, figure, percent
from world4rl.report.data import RunData, read_run
from world4rl.runs.outcomes import NAMES, PAIRS, decode_outcomes
from world4rl_data.dotted import dotted
from world4rl_data.durable import replace_file
from world4rl_policy.statistics import clustered_interval, compare, mcnemar, seed_interval, seeds_verdict, verdict

COLOURS = ("var(--c3)", "var(--c2)", "var(--c4)", "var(--c1)")


def build_comparison(runs: list[Path], out: Path) -> Path:
    """Write one page about several run folders, finished or not, and return its path.

    Raises:
        RunError: one of them holds no run, or a file in it is damaged.
    """
    found = [read_run(run) for run in runs]
    out.parent.mkdir(parents=True, exist_ok=True)
    return replace_file(out, environment().get_template("comparison.html.j2").render(**view(found)))


def view(runs: list[RunData]) -> dict[str, Any]:
    """What the template shows."""
    names = run_names([run.path for run in runs])
    settings = [_settings(run) for run in runs]
    tasks = {str(values.get("task", "unknown")) for values in settings}
    same_but_seed = len(tasks) == 1 and set(differences_of(settings)) <= {"seed"}
    made_with = [
        {**values, **flat({"machine": run.summary.get("machine"), "versions": run.summary.get("versions")})}
        for run, values in zip(runs, settings, strict=True)
    ]
    return {
        "names": names,
        "tasks": sorted(tasks),
        "policies": success_by_policy(runs, names),
        "pooled": over_seeds(runs) if same_but_seed else [],
        "between": between(runs, names),
        "rows": [row for row in figures(runs) if any(row[1])],
        "differing": [
            (key.removeprefix("settings."), [str(values.get(key, "not set")) for values in made_with])
            for key in differences_of(made_with)
        ],
    }


def run_names(paths: list[Path]) -> list[str]:
    """The folders' names, or their whole paths where two folders are called alike."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def success_by_policy(runs: list[RunData], names: list[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """For each policy that any run has evaluated: name, then a bar for each run that has."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        for rate in run.rates:
            bar = {"run": name, "rate": rate, "colour": COLOURS[number % len(COLOURS)]}
            found.setdefault(rate.name, []).append(bar)
    return list(found.items())


def over_seeds(runs: list[RunData]) -> list[dict[str, Any]]:
    """Paired differences over runs that differ in nothing but their seed; empty where that makes no sense."""
    outcomes = [run.summary.get("outcomes") or {} for run in runs]
    seeds = [run.summary.get("seed") for run in runs]
    if len(runs) < 2 or None in seeds or len(set(seeds)) < len(seeds):
        return []
    rows = []
    for a, b in PAIRS:
        if all(a in found and b in found for found in outcomes):
            parts = [decode_outcomes(found[b]) - decode_outcomes(found[a]) for found in outcomes]
            mean, low, high = clustered_interval(parts)
            by_t = seed_interval([[part.mean() for part in parts]])
            assert by_t is not None  # there are two seeds at least
            row = {"name": f"{NAMES[b]} − {NAMES[a]}", "difference": mean, "ci95": (low, high), "seed_t95": by_t}
            told = seeds_verdict(by_t, (low, high), mcnemar_p=mcnemar(np.concatenate(parts)))
            rows.append(row | {"verdict": told})
    return rows


def between(runs: list[RunData], names: list[str]) -> list[dict[str, Any]]:
    """The refined policies of neighbouring runs that were evaluated on the same start states, pair by pair."""
    rows = []
    for (run, name), (other, other_name) in pairwise(zip(runs, names, strict=True)):
        a, b = ((r.summary.get("outcomes") or {}).get("refined", "") for r in (run, other))
        ranges = [(r.summary.get("seed_ranges") or {}).get("evaluate") for r in (run, other)]
        same = run.summary.get("task") == other.summary.get("task") and None not in ranges and ranges[0] == ranges[1]
        if same and a and len(a) == len(b):
            found = compare(decode_outcomes(a).astype(bool).tolist(), decode_outcomes(b).astype(bool).tolist())
            told = verdict(*found.ci95, mcnemar_p=found.mcnemar_p)
            rows.append({"name": f"{other_name} − {name}", **found.to_dict(), "verdict": told})
    return rows


def figures(runs: list[RunData]) -> list[tuple[str, list[str]]]:
    """Name of a figure, and how each run writes it; empty where a run has none."""

    def row(name: str, value: Callable[[RunData], Any], write: Callable[[Any], str] = str) -> tuple[str, list[str]]:
        found = [value(run) for run in runs]
        return name, ["" if one is None else write(one) for one in found]

    def of(part: str, key: str) -> Callable[[RunData], Any]:
        return lambda run: (run.summary.get(part) or {}).get(key)

    return [
        row("seed", lambda run: _settings(run).get("seed")),
        row("preset", lambda run: _settings(run).get("preset")),
        row("demonstrations", lambda run: run.summary.get("demonstrations")),
        row("real episodes in all", lambda run: run.summary.get("real_episodes")),
        row("replay check: true positives", lambda run: run.replay_check.get("tpr"), percent),
        row("replay check: false positives", lambda run: run.replay_check.get("fpr"), percent),
        row("replay check: J", lambda run: run.replay_check.get("j"), figure),
        row("replay check: verdict", lambda run: run.replay_check.get("verdict"), _words),
        row("iteration kept", of("refinement", "iteration")),
        row("imagined success, refined", of("imagined_success", "refined"), percent),
        row("judged success, refined", of("judged_success", "refined"), percent),
        row("uncertainty: AUROC", lambda run: run.uncertainty.get("auroc"), figure),
        row("uncertainty: expected error", lambda run: run.uncertainty.get("expected_error"), figure),
        row("uncertainty: real error", lambda run: run.uncertainty.get("real_error"), figure),
        row("dream: SSIM at the longest horizon", lambda run: _farthest(run, "ssim"), figure),
        row("dream: error where pixels moved, there", lambda run: _farthest(run, "moving"), figure),
        row("computed for", lambda run: sum(run.stages.values()) or None, duration),
    ]


def _farthest(run: RunData, measure: str) -> float | None:
    """Mean of a measure of the dream at the last step that the first group of episodes reaches."""
    groups = run.measures.get("groups") or []
    curve = groups[0]["open_loop"].get(measure, {}).get("ours", []) if groups else []
    there = [value["mean"] for value in curve if value is not None]
    return there[-1] if there else None


def _words(value: object) -> str:
    return str(value).replace("_", " ")


def _settings(run: RunData) -> dict[str, Any]:
    """The run's config.yaml with dotted names, and what its summary says where that is missing."""
    known = {key: run.summary[key] for key in ("task", "seed", "preset") if key in run.summary}
    loaded = yaml.safe_load(run.config) if run.config else {}
    return known | flat(loaded if isinstance(loaded, dict) else {})


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with dotted names; parts that are None are left out."""
    return dotted({key: value for key, value in settings.items() if value is not None})


def differences_of(settings: list[dict[str, Any]]) -> list[str]:
    """Names of the settings in which not all runs are alike."""
    keys = dict.fromkeys(key for values in settings for key in values)
    return [key for key in keys if any(values.get(key) != settings[0].get(key) for values in settings)]

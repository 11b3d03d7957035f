"""Put demo runs of several seeds together: results as JSON, and the first table of docs/results.md.

    python benchmarks/demo.py runs/demo-seed0 runs/demo-seed1 runs/demo-seed2

Each run's summary.json and concordance.json become benchmarks/results/demo-seed<N>.json: this overwrites the published
figures and their page. `world4rl report RUN RUN` compares runs without that. Runs, and what is there already of other
seeds, must be of one task, preset, number of episodes and settings; revisions are not compared. Differences are paired
on the same start states; their intervals: Student's t over the training seeds, and a bootstrap of seeds, then of the
episodes within them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from world4rl.benchmark.table import NOT_PROTOCOL
from world4rl.report.comparison import differences_of, flat
from world4rl.runs.concordance import RESULT as CONCORDANCE
from world4rl.runs.outcomes import NAMES, PAIRS, POLICIES, decode_outcomes
from world4rl_data.durable import replace_file
from world4rl_policy.statistics import clustered_interval, seed_interval
from world4rl_wm.measures.replay_check import rate_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def table(summaries: list[dict]) -> str:
    """Markdown: a row per seed, then the mean, then the paired differences."""
    head = ["seed", "real episodes (demonstrations)", *NAMES.values()]
    head += ["on the graph", "replay check TPR / FPR", "minutes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for s in summaries:
        check, graph = s["replay_check"], s.get("graph")
        rates = [f"{s[f'{name}_success']:.1%}" for name in POLICIES]
        minutes = sum(s["wall_s"].values()) / 60
        real = f"{s['real_episodes']} ({s['demonstrations']})"
        deployed = f"{graph['success']:.0%} of {graph['episodes']}" if graph else "–"
        row = [s["seed"], real, *rates, deployed]
        row += [f"{rate_text(check['tpr'])} / {rate_text(check['fpr'])}", f"{minutes:.1f}"]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    means = [f"**{np.mean([s[f'{name}_success'] for s in summaries]):.1%}**" for name in POLICIES]
    lines.append("| " + " | ".join(["mean", "", *means, "", "", ""]) + " |")
    return "\n".join(lines)


def difference(summaries: list[dict], a: str, b: str) -> str:
    """The mean paired difference and its 95 % intervals, in words."""
    parts = [decode_outcomes(s["outcomes"][b]) - decode_outcomes(s["outcomes"][a]) for s in summaries]
    mean, *bootstrap = clustered_interval(parts)
    by_t = seed_interval([[part.mean() for part in parts]])
    told = f"- {NAMES[b]} minus {NAMES[a]}: {100 * mean:+.1f} points"
    if by_t is not None:
        told += f", {_pair(*by_t)} by Student's t over the seeds"
    return f"{told}, {_pair(*bootstrap)} by the bootstrap"


def _pair(low: float, high: float) -> str:
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def text(summaries: list[dict]) -> str:
    """What the page says between its markers."""
    episodes, task = summaries[0]["episodes"], summaries[0]["task"]
    said = [difference(summaries, a, b) for a, b in PAIRS]
    return "\n".join(
        [
            f"`world4rl demo` for {len(summaries)} seeds, task `{task}`: success by the policies' mean actions on",
            f"{episodes} start states for each seed that nothing was trained on ([files](../benchmarks/results),",
            "put together by `benchmarks/demo.py`).",
            "",
            table(summaries),
            "",
            "Paired differences with 95 % intervals ([which](#success)):",
            "",
            *said,
        ]
    )


def recipe(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Task, preset, number of episodes, and how the settings differ from the preset's, by dotted names."""
    told = flat({key: summary.get(key) for key in ("task", "preset", "episodes", "settings")})
    return {key: value for key, value in told.items() if key.removeprefix("settings.changed.") not in NOT_PROTOCOL}


def require_one_recipe(summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises SystemExit unless the summaries, by the names of their places, are of one recipe."""
    recipes = {name: recipe(summary) for name, summary in summaries.items()}
    differing = differences_of(list(recipes.values()))
    if differing:
        told = [
            f"  {key.removeprefix('settings.changed.')}: "
            + ", ".join(f"{values.get(key, 'not set')} in {name}" for name, values in recipes.items())
            for key in differing
        ]
        raise SystemExit(
            "\n".join(["one table is of runs that differ in nothing but their seed, and these differ in", *told])
            + f"\ngive the runs of all its seeds, or take the files of another recipe out of {RESULTS}"
        )


def summary_of(run: Path) -> dict[str, Any]:
    """What a run found; how far its dream could be trusted stands in a file of its own, for it can be tried again."""
    summary, tried = json.loads((run / "summary.json").read_text()), run / CONCORDANCE
    return summary | ({"concordance": json.loads(tried.read_text())} if tried.is_file() else {})


def take_over(runs: list[Path]) -> None:
    """Take what the runs found over to the results, all or none.

    Raises:
        SystemExit: two runs have one seed, or they and the results of other seeds are not of one recipe.
    """
    given = {run: summary_of(run) for run in runs}
    places = {run: RESULTS / f"demo-seed{summary['seed']}.json" for run, summary in given.items()}
    if len(set(places.values())) < len(places):
        raise SystemExit("several of the runs have one seed, of which one table has one run")
    there = [path for path in sorted(RESULTS.glob("demo-seed*.json")) if path not in places.values()]
    others = {path.name: json.loads(path.read_text()) for path in there}
    require_one_recipe(others | {str(run): summary for run, summary in given.items()})
    for run, place in places.items():
        replace_file(place, json.dumps(given[run], indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="run folders; none: the results that are there already")
    take_over(parser.parse_args().runs)
    summaries = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("demo-seed*.json"))]
    if not summaries:
        raise SystemExit(f"no demo-seed*.json in {RESULTS}: give the folders of finished runs")
    said = text(summaries)
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + said + "\n" + END + rest.split(END)[1])
    print(said)


if __name__ == "__main__":
    main()

"""The loop closed: the refined policy works in the simulator, the models learn from that, it is refined again."""

from __future__ import annotations

from typing import Any

from world4rl.loop.rollouts import Collector
from world4rl.loop.round import Round
from world4rl.loop.stages import do_stages
from world4rl.loop.table import first_row, round_row
from world4rl.runs.dreamers import require_dreamers
from world4rl.runs.origin import origin
from world4rl.runs.run_folder import Run

RESULT = "loop.json"


def require_possible(first: Run, rounds: int, episodes: int) -> None:
    """Refuse what could not be finished.

    Raises:
        ValueError: the run is not finished, was measured otherwise or has no dream, `episodes` cannot be divided, or
            there are too few start states for so many rounds.
    """
    if not (first.path / "evaluation" / "refined.json").is_file():
        raise ValueError(f"{first.path} is not finished: go on with `world4rl demo --run {first.path}`")
    require_dreamers(first)
    measured, wanted = len(first.read("evaluation/refined.json")["success"]), first.preset.evaluation.episodes
    if measured != wanted:
        raise ValueError(
            f"evaluation.episodes is {wanted}, the run was measured on {measured}: the table needs the same"
        )
    last = Round(first, rounds, episodes, None)
    if not 0 < last.held_back < episodes:
        raise ValueError(f"{episodes} real episodes for a round: too few to learn from some and check on others")
    _ = last.rollout_seeds, last.judge_seeds  # they raise where there are too few


def run_loop(first: Run, rounds: int, episodes: int, collect: Collector) -> dict[str, Any]:
    """Do `rounds` rounds of `episodes` real episodes each after the run `first`; `collect`: how these are made. Writes
    loop.json, after each round, and returns it.

    Raises:
        ValueError: as `require_possible`.
    """
    require_possible(first, rounds, episodes)
    rows = [first_row(first)]
    before: Round | None = None
    for number in range(1, rounds + 1):
        before = Round(first, number, episodes, before)
        rows.append(round_row(before, do_stages(before, collect)))
        told = {"task": first.task, "seed": first.seed, "rounds": rows, "episodes_per_round": episodes}
        table = told | {"evaluation_episodes": first.preset.evaluation.episodes} | origin(first)
        first.write(RESULT, table)
    return table

"""The rows of the loop's table: the run itself, then its rounds, each beside filtered BC on the same start states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world4rl.loop.refinement import RIVAL
from world4rl.loop.round import Round
from world4rl.runs.run_folder import Run
from world4rl_policy.statistics import compare, wilson_interval


def first_row(first: Run) -> dict[str, Any]:
    """Of the run before any round."""
    success, rival = (first.read(f"evaluation/{policy}.json")["success"] for policy in ("refined", RIVAL))
    return {"round": 0, "real_episodes": 0, **_rates(success, rival)}


def round_row(round_: Round, wall_s: Mapping[str, float]) -> dict[str, Any]:
    """Of a round whose stages are done, in `wall_s` seconds each."""
    run = round_.run
    refinement = run.read("refinement.json")
    success, rival = (run.read(file)["success"] for file in ("evaluation.json", f"evaluation/{RIVAL}.json"))
    return {
        "round": round_.number,
        "real_episodes": round_.number * round_.episodes,
        "training_episodes": len(round_.training()),
        "replay_check": run.read("replay_check.json"),
        "start": refinement["start"],
        "stays": refinement.get("stays", refinement["start"]),  # the same in earlier versions
        "judged_starts": refinement["judged_starts"],
        "iteration": refinement["iteration"],
        "reason": refinement["reason"],
        "judged_before": refinement.get("judged_before", refinement["judged_start"]),  # of before it was judged
        "judged_after": refinement["judged_refined"],
        **_rates(success, rival),
        "against_before": compare(round_.start_success, success).to_dict(),
        "against_first": compare(round_.first.read("evaluation/refined.json")["success"], success).to_dict(),
        "wall_s": dict(wall_s),
    }


def _rates(success: Sequence[bool], rival: Sequence[bool]) -> dict[str, Any]:
    """Success of a round's policy and of filtered BC on the same episodes."""
    return {
        "success": sum(success) / len(success),
        "ci95": wilson_interval(sum(success), len(success)),
        "filtered_bc_success": sum(rival) / len(rival),
        "filtered_bc_ci95": wilson_interval(sum(rival), len(rival)),
        "against_filtered_bc": compare(rival, success).to_dict(),
    }

"""What the one policy does in a task, as a row beside that of the task's own policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from world4rl.benchmark.one_policy.folder import FOLDER, POLICIES, OnePolicy
from world4rl.runs.concordance import RESULT as CONCORDANCE
from world4rl.runs.origin import origin
from world4rl.runs.outcomes import encode_outcomes
from world4rl.runs.run_folder import Run
from world4rl_policy.statistics import compare, wilson_interval

RESULT = "one_policy.json"


def task_row(one: OnePolicy, run: Run, wall_s: Mapping[str, float]) -> dict[str, Any]:
    """What the one policy does in a task, compared with the policies of the task alone on the same start states."""
    check, refined = one.read("replay_checks.json")[run.task], one.read("refinement.json")
    found = {name: one.read(f"evaluation/{run.task}/{name}.json")["success"] for name in POLICIES}
    alone = {name: run.read(f"evaluation/{name}.json")["success"] for name in POLICIES}
    paired = {"refined_vs_filtered_bc": compare(found["filtered_bc"], found["refined"])}
    paired |= {f"{name}_vs_alone": compare(alone[name], found[name]) for name in POLICIES}
    pairs = {name: pair.to_dict() for name, pair in paired.items()}
    tried = f"concordance/{run.task}/{CONCORDANCE}"
    intervals = {name: wilson_interval(sum(success), len(success)) for name, success in found.items()}
    return {
        "task": run.task,
        "seed": run.seed,
        **{f"{name}_success": float(np.mean(success)) for name, success in found.items()},
        **{f"{name}_alone_success": float(np.mean(success)) for name, success in alone.items()},
        "episodes": len(found["refined"]),
        "ci95": intervals | {name.replace("_vs_", "_minus_"): pair["ci95"] for name, pair in pairs.items()},
        "paired": pairs,
        "outcomes": {name: encode_outcomes(success) for name, success in found.items()},
        "practised": bool(check["passed"]),
        "replay_check": check,
        "refinement": refined,
        **({"concordance": one.read(tried)} if (one.path / tried).is_file() else {}),
        "tasks": list(one.tasks),
        **origin(run),
        "wall_s": {f"{name}, this task's share": seconds / len(one.runs) for name, seconds in wall_s.items()},
    }


def one_policy_rows(path: Path) -> list[dict[str, Any]]:
    """Every result of one policy below a benchmark's folder, a row for each task and seed."""
    return [row for file in sorted(path.glob(f"seed-*/{FOLDER}/{RESULT}")) for row in json.loads(file.read_text())]

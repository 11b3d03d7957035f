"""One policy for all tasks of a seed, which is told the task: filtered BC on everybody's successes, then PPO in the
dreams of all tasks at once, beside the rows' own policies.

World models, reward models and episodes are the rows'.
"""

from __future__ import annotations

from collections.abc import Sequence

from world4rl.benchmark.one_policy.folder import OnePolicy
from world4rl.benchmark.one_policy.row import RESULT, task_row
from world4rl.benchmark.one_policy.stages import do_stages
from world4rl.runs.run_folder import Run


def one_policy(runs: Sequence[Run]) -> None:
    """Do all stages that are not done yet, and write the result; the rows of `runs` are finished."""
    one = OnePolicy.beside(runs)
    if (one.path / RESULT).is_file():
        print(f"seed {one.seed}, one policy for all tasks: done before")
        return
    print(f"== one policy for {', '.join(one.tasks)}, seed {one.seed}", flush=True)
    wall_s = do_stages(one)
    one.write(RESULT, [task_row(one, run, wall_s) for run in runs])

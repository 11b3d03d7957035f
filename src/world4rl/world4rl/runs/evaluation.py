"""Success of policies on the held-out start states of a run; what is known is not simulated again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from world4rl.episodes.collect import evaluate
from world4rl.runs.outcomes import POLICIES
from world4rl.runs.run_folder import ResultFolder, Run


def evaluate_once(run: Run, policy: Path, folder: ResultFolder, file: str) -> None:
    """The checkpoint `policy` by its mean action on the run's start states, written to `file` of `folder` unless it is
    there."""
    if not (folder.path / file).is_file():
        seeds, workers = run.seeds.take("evaluate", run.preset.evaluation.episodes), run.preset.collect.workers
        folder.write(file, evaluate(run.task, run.contract, policy, seeds, 0.0, workers, run.progress).to_dict())


def evaluate_policies(
    run: Run, folder: ResultFolder, policies: Sequence[str] = POLICIES, below: str = "evaluation"
) -> None:
    """The checkpoints `policies` of `folder`, in the task of `run`, to `below`/POLICY.json.

    Where its refinement kept filtered BC, that one's outcomes are those of the refined policy.
    """
    kept = folder.read("refinement.json")["kept_start_policy"]
    for name in policies:
        file = f"{below}/{name}.json"
        if kept and name == "refined":
            folder.write(file, folder.read(f"{below}/filtered_bc.json"))
        else:
            evaluate_once(run, folder.checkpoint(name), folder, file)

"""Whose success is known is not simulated again, by the demo, by a row, by one policy for all tasks or by a round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from finished_rig import finished_folder

from world4rl import pipeline
from world4rl.loop import stages
from world4rl.loop.refinement import RIVAL
from world4rl.loop.round import Round
from world4rl.runs import evaluation
from world4rl.runs.load_run import load_run
from world4rl.runs.run_folder import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Nothing of it has been evaluated yet, but for the run's own policy."""
    loaded = load_run(finished_folder(tmp_path / "run"), progress=False)
    for name in ("bc", "filtered_bc"):
        (loaded.path / "evaluation" / f"{name}.json").unlink()
    return loaded


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the checkpoints that were simulated; of two the second one is interrupted the first time."""
    asked: list[str] = []

    def evaluate(task: str, contract: object, policy: Path, seeds: range, *_: object) -> Any:
        asked.append(policy.name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return SimpleNamespace(to_dict=lambda: {"success": [len(asked) == 1] * len(seeds)})

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    return asked


def test_a_kept_policy_is_not_measured_twice_by_the_demo(run: Run, simulated: list[str]) -> None:
    (run.path / "evaluation" / "refined.json").unlink()
    run.write("refinement.json", {"kept_start_policy": True})
    with pytest.raises(KeyboardInterrupt):
        pipeline.evaluation(run)
    pipeline.evaluation(run)
    assert simulated == ["bc", "filtered_bc", "filtered_bc"], "what was interrupted, and nothing else, again"
    assert run.read("evaluation/refined.json") == run.read("evaluation/filtered_bc.json")
    run.write("refinement.json", {"kept_start_policy": False})
    (run.path / "evaluation" / "refined.json").unlink()
    pipeline.evaluation(run)
    assert simulated[3:] == ["refined"]


def test_an_interrupted_round_knows_the_rival_s_success(run: Run, simulated: list[str]) -> None:
    of_run = replace(run, preset=replace(run.preset, evaluation=replace(run.preset.evaluation, episodes=2)))
    round_1 = Round(of_run, 1, 4, None)
    round_1.run.write("refinement.json", {"kept_start_policy": False, "start": "newest"})
    with pytest.raises(KeyboardInterrupt):
        stages.evaluation(round_1)
    stages.evaluation(round_1)
    assert simulated == [RIVAL, "refined", "refined"]
    assert round_1.run.read(f"evaluation/{RIVAL}.json")["success"] == [True, True]
    assert round_1.run.read("evaluation.json")["success"] == [False, False]

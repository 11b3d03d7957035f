"""`collect` and `evaluate` with a stand-in for the simulator: whose episodes and whose figures the files hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from world4rl.cli import main
from world4rl_data.contract import TaskContract

STARTS = ["--first", "200"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A checkpoint folder; nobody acts by its weights here."""
    folder = tmp_path / "models" / "bc"
    folder.mkdir(parents=True)
    TaskContract.load("franka_sim_press").save(folder / "contract.yaml")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def trained_anew(policy: Path) -> None:
    (policy / "model.safetensors").write_bytes(b"other weights")


def interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The start states that were simulated; three of four succeed."""
    from world4rl.collect import Evaluation

    simulated: list[int] = []

    def evaluate(task: str, contract: TaskContract, policy: Path, seeds: range, *_: Any) -> Evaluation:
        simulated.extend(seeds)
        return Evaluation(list(seeds), [s % 4 != 0 for s in seeds], [7 for _ in seeds])

    monkeypatch.setattr("world4rl.collect.evaluate", evaluate)
    return simulated


def test_evaluation_never_tells_the_success_of_another_policy(
    policy: Path, evaluated: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = ["evaluate", "--policy", str(policy), *STARTS, "--episodes"], policy.with_name("bc.evaluation.json")
    assert main([*words, "8"]) == 0
    trained_anew(policy)
    assert main([*words, "8"]) == 2
    assert "remove it to start over" in capsys.readouterr().err
    shutil.rmtree(out.with_suffix(".run"))
    evaluated.clear()
    with monkeypatch.context() as patch:
        patch.setattr("world4rl.collect.evaluate", interrupted)
        assert main([*words, "4"]) == 130, "before anything of the new policy is saved"
    assert main([*words, "4"]) == 0
    assert evaluated == [200, 201, 202, 203]
    assert "3 of 4 (75.0%" in capsys.readouterr().out
    assert json.loads(out.read_text())["seeds"] == evaluated
    assert main([*words, "4"]) == 0 and len(evaluated) == 4, "the same command again has nothing to do"


def test_evaluation_refuses_start_states_that_were_not_asked(
    policy: Path, evaluated: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    words, work = ["evaluate", "--policy", str(policy), *STARTS, "--episodes"], policy.with_name("bc.evaluation.run")
    assert main([*words, "8"]) == 0
    (work / "command.yaml").unlink()
    assert main([*words, "4"]) == 2
    assert "holds other start states than asked" in capsys.readouterr().err

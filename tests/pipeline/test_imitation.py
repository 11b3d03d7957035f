"""The benchmark of imitation: what each row imitates, and that it is tried once."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import imitation
from dream_rig import policy
from finished_rig import finished_folder
from refinement_parts.runs import finished_run

from world4rl.runs.run_folder import training_store


def test_the_first_roll_outs_are_those_after_the_demonstrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(finished_folder(tmp_path / "run"))
    store = training_store(run, "demonstrations", "practice", "check")
    assert imitation.imitated(run, imitation.LONGER, store) == [0, 1, 2, 6], (
        "two demonstrations, and two that succeeded"
    )
    monkeypatch.setitem(imitation.FEWER, "few", 3)
    assert imitation.imitated(run, "few", store) == [0, 1, 2]


def test_every_row_is_tried_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = finished_folder(tmp_path / "run", "bc.filtered_training.steps=2"), tmp_path / "result.json"
    policy(seed=8).save(run / "checkpoints" / "start")
    monkeypatch.setattr(sys, "argv", ["imitation.py", str(run), "--workers", "1", "--out", str(out)])
    imitation.main()
    rows = json.loads(out.read_text())["rows"]
    assert [row["policy"] for row in rows] == list(imitation.ROWS)
    assert [row["learned"].get("steps") for row in rows] == [6, None, 2, 2, 2, 2]
    assert all(len(row["outcomes"][row["policy"]]) == 2 for row in rows)

    def again(*_: object) -> None:
        raise AssertionError("this row is known")

    text = out.read_text()
    monkeypatch.setattr(imitation, "row", again)
    imitation.main()
    assert out.read_text() == text and imitation.LONGER in capsys.readouterr().out


def test_a_run_without_a_start_policy_has_no_row_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose replay check had too little to decide on: its filtered BC would pass for another policy."""
    run, out = finished_folder(tmp_path / "run", "bc.filtered_training.steps=2"), tmp_path / "result.json"
    given = [str(run), "--workers", "1", "--out", str(out), "--rows", imitation.DREAMED, imitation.LONGER]
    monkeypatch.setattr(sys, "argv", ["imitation.py", *given])
    imitation.main()
    assert [row["policy"] for row in json.loads(out.read_text())["rows"]] == [imitation.LONGER]
    assert (
        f"{run}, {imitation.DREAMED}: left out, the run has no {run / 'checkpoints' / 'start'}"
        in capsys.readouterr().out
    )

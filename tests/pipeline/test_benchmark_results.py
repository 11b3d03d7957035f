"""A benchmark's file of results: which rows are done, and what becomes of the others."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import imagination
from dream_rig import policy, world_model
from finished_rig import finished_folder
from refinement_parts.results import Results, run_key, scored
from refinement_parts.runs import HeldOut, finished_run
from refinement_parts.table import table

from world4rl.episodes.collect import Evaluation
from world4rl.runs.run_folder import Run

RIVAL = "rival"


def made_row(run: Run, name: str = RIVAL, success: str = "01") -> dict[str, Any]:
    known = HeldOut.of(run)
    found = Evaluation(known.seeds, [c == "1" for c in success], [1] * len(success))
    return run_key(run, "d") | scored(name, found, known)


def rows_in(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text())["rows"])


def test_a_run_s_rows_are_those_of_its_settings_weights_and_outcomes(tmp_path: Path) -> None:
    folder = finished_folder(tmp_path / "run")
    keys = [run_key(finished_run(folder), "d")]
    assert run_key(finished_run(folder), "d") == keys[0]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["settings"]["ppo"]["clip"] = 0.15
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    keys.append(run_key(finished_run(folder), "d"))
    policy(seed=8).save(folder / "checkpoints" / "start")
    keys.append(run_key(finished_run(folder), "d"))
    world_model(0).save(folder / "checkpoints" / "world_model_a")
    keys.append(run_key(finished_run(folder), "d"))
    refined = json.loads((folder / "evaluation" / "refined.json").read_text())
    (folder / "evaluation" / "refined.json").write_text(json.dumps(refined | {"success": [True, True]}))
    keys.append(run_key(finished_run(folder), "d"))
    assert len({key["made_of"] for key in keys}) == 5
    assert all(key | {"made_of": ""} == keys[0] | {"made_of": ""} for key in keys)


def test_two_runs_of_a_seed_are_told_apart(tmp_path: Path) -> None:
    """They have the same episodes and the same preset's name, and one was refined with another setting."""
    runs = [finished_run(finished_folder(tmp_path / name, f"ppo.clip={name}")) for name in ("0.1", "0.2")]
    results = Results("test", runs, {}, tmp_path / "result.json")
    results.add(made_row(runs[0]))
    assert results.holds(**run_key(runs[0], "d"), policy=RIVAL)
    assert not results.holds(**run_key(runs[1], "d"), policy=RIVAL)
    results.add(made_row(runs[1], success="11"))
    results.copy(tmp_path / "own.json", **run_key(runs[1], "d"))
    assert [row["success"] for row in rows_in(tmp_path / "own.json")] == [1.0]
    said = table(results.rows)
    assert all(f"press_button, seed 0 ({row['made_of']}) | rival | 1 |" in said for row in results.rows)
    assert "mean of" not in said and "No means" in said


def test_rows_of_before_are_shown_and_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = finished_run(finished_folder(tmp_path / "run")), tmp_path / "result.json"
    before = [{k: v for k, v in made_row(run, name).items() if k != "made_of"} for name in (RIVAL, "another")]
    out.write_text(json.dumps({"setting": {}, "rows": before}))
    results = Results("test", [run], {}, out)
    assert "| press_button, seed 0 | rival | 1 |" in table(results.rows)
    assert not results.holds(**run_key(run, "d"), policy=RIVAL)
    assert f"{out}: its row of press_button, seed 0, rival is from before" in capsys.readouterr().out
    results.add(made_row(run, success="11"))
    assert [(row["policy"], row["success"]) for row in rows_in(out)] == [("another", 0.5), (RIVAL, 1.0)]
    assert results.holds(**run_key(run, "d"), policy=RIVAL) and not capsys.readouterr().out


def test_rows_of_two_processes_are_all_kept(tmp_path: Path) -> None:
    """Both began before either had a row; a row that both have worked out is there once."""
    run, out = finished_run(finished_folder(tmp_path / "run")), tmp_path / "new" / "result.json"
    first, second, other = (Results("test", [run], setting, out) for setting in ({}, {}, {"steps": 1}))
    first.add(made_row(run, "one"))
    second.add(made_row(run, "two"))
    first.add(made_row(run, "two", success="11"))
    first.add(made_row(run, "three"))
    assert [(row["policy"], row["success"]) for row in rows_in(out)] == [("one", 0.5), ("two", 1.0), ("three", 0.5)]
    second.copy(tmp_path / "own.json", **run_key(run, "d"))
    assert rows_in(tmp_path / "own.json") == rows_in(out), "of the other process too"
    with pytest.raises(SystemExit, match="other settings"):
        other.add(made_row(run))


def test_processes_write_in_turns(tmp_path: Path) -> None:
    """Threads stand for processes: each opens the lock by itself, which is what it is held by."""
    run, out = finished_run(finished_folder(tmp_path / "run")), tmp_path / "result.json"
    row = made_row(run)
    with ThreadPoolExecutor(4) as pool:
        names = [f"{number}-{turn}" for number in range(4) for turn in range(8)]
        list(pool.map(lambda name: Results("test", [run], {}, out).add(row | {"policy": name}), names))
    assert {row["policy"] for row in rows_in(out)} == set(names)


def test_how_fast_a_machine_is_stands_beside_which_one_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagination, "run", lambda options: {"cases": {}})
    monkeypatch.setattr(imagination, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["imagination.py", "--name", "here", "--threads", "3"])
    imagination.main()
    told = json.loads((tmp_path / "imagination-here.json").read_text())["machine"]
    assert told["threads"] == 3 and {"processor", "cores", "device", "load_average_1_min"} <= set(told)

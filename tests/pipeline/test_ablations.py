"""The ablations' benchmark: rows refine the run's own models under other settings, and leave the run as it is."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import shutil
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import ablations
from dream_rig import press_store, reward_model, world_model
from finished_rig import finished_folder
from refinement_parts import cpu_time
from refinement_parts.runs import finished_run

from world4rl.commands.registry import find
from world4rl.presets import load_preset
from world4rl.report import render
from world4rl.report_data import read_run
from world4rl.run_folder import Run, joined_store, training_store
from world4rl_wm.measures.replay_check import judge
from world4rl_wm.uncertainty.kind import UncertaintyMap


def run_with_dreams(path: Path) -> Path:
    folder = finished_folder(path, "selection.every=1", "selection.episodes=2")
    for seed, name in enumerate("ab"):
        world_model(seed).save(folder / "checkpoints" / f"world_model_{name}")
        reward_model().save(folder / "checkpoints" / f"reward_{name}")
    real = torch.tensor([True] * 20 + [False] * 20)
    (folder / "replay_check.json").write_text(json.dumps(judge(real, real).to_dict()))
    return folder


FREE = ["replay_check.limits.min_episodes=0", "replay_check.limits.cautious_from=-1"]


def files(folder: Path) -> dict[str, int]:
    """All but the stores, where one of all episodes is put together when it is missing."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if "stores" not in path.parts}


@pytest.mark.parametrize("row", ablations.ROWS)
def test_every_row_has_settings_that_there_are(row: str) -> None:
    settings = [text.format(limit=0.1, penalty=1.0) for text in ablations.ROWS[row]]
    load_preset("tiny", settings)
    load_preset("metaworld/tiny", settings)


def test_the_limit_of_uncertainty_is_passed_by_one_frame_in_twenty(tmp_path: Path) -> None:
    run = finished_run(run_with_dreams(tmp_path / "run"))
    disagreement = np.random.default_rng(0).exponential(size=100_000)
    middles = UncertaintyMap.fit(disagreement, disagreement, bins=20).disagreement
    told = {"signals": {"models": {"map": {"disagreement": middles}}}}
    (run.checkpoint("world_model_a") / "uncertainty.json").write_text(json.dumps(told))
    values = ablations.uncertainty_values(run)
    assert (disagreement > values["limit"]).mean() == pytest.approx(0.05, abs=0.015)
    assert values["penalty"] * values["limit"] == pytest.approx(ablations.PENALTY)


def test_a_run_without_calibration_is_told_a_command_that_there_is(tmp_path: Path) -> None:
    run = finished_run(run_with_dreams(tmp_path / "run"))
    with pytest.raises(SystemExit, match="its world model's uncertainty is not calibrated") as refused:
        ablations.uncertainty_values(run)
    words = str(refused.value).split("`")[1].split()
    assert words[0] == "world4rl" and words[2:] == ["--run", str(run.path)]
    found = find(words[1:])
    assert found is not None and "run" in signature(found[1].load()).parameters


def test_rows_are_written_once_and_shown_in_the_report_of_a_run_that_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = run_with_dreams(tmp_path / "run"), tmp_path / "result.json"
    before = files(folder)
    rows = ["none of these", "no BC term"]
    given = [str(folder), "--work", str(tmp_path / "work"), "--out", str(out), "--workers", "1", "--rows"]
    ablations.main([*given, *rows])
    found = json.loads(out.read_text())["rows"]
    assert [row["policy"] for row in found] == rows
    assert found[0]["iteration"] == 2 and found[0]["reason"] == "the last one"
    assert found[1]["kept_start_policy"], "the row's own replay check refuses this dream; the row above asks for none"
    assert found[1]["settings"] == ["ppo.bc_coefficient=0"]
    assert all(len(row["outcomes"][row["policy"]]) == 2 for row in found)
    own = folder / "ablations.json"
    assert files(folder) == before | {str(own): own.stat().st_mtime_ns}
    assert json.loads(own.read_text())["rows"] == found
    page, text = render(read_run(folder)), out.read_text()
    assert all(row["policy"] in page for row in found), "the run's report tells"
    assert "“none of these” all safeguards are left out at once" in page
    own.unlink()
    ablations.main([*given, *rows])
    assert out.read_text() == text and "no BC term" in capsys.readouterr().out
    assert json.loads(own.read_text())["rows"] == found, "also of rows that were done before"


def test_a_row_under_other_settings_is_worked_out_anew_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder, work = run_with_dreams(tmp_path / "run"), tmp_path / "work"
    given = [str(folder), "--work", str(work), "--workers", "1", "--rows", "none of these", "--out"]
    ablations.main([*given, str(tmp_path / "two.json")])
    ablations.main([*given, str(tmp_path / "one.json"), "--set", "ppo.iterations=1"])
    kept = [json.loads((tmp_path / name).read_text())["rows"][0]["iteration"] for name in ("two.json", "one.json")]
    assert kept == [2, 1], "the last one, each under its own settings"
    names = [path.parent.name for path in work.rglob("refinement.json")]
    assert len(names) == 2 and all(name.startswith("none-of-these-") for name in names)


def test_a_row_of_a_run_whose_models_were_trained_again_is_worked_out_anew(tmp_path: Path) -> None:
    folder, out, work = run_with_dreams(tmp_path / "run"), tmp_path / "result.json", tmp_path / "work"
    given = [str(folder), "--work", str(work), "--out", str(out), "--workers", "1", "--rows", "no BC term"]
    ablations.main(given)
    world_model(7).save(folder / "checkpoints" / "world_model_a")
    ablations.main(given)
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 2 and len(list(work.rglob("refinement.json"))) == 2
    assert json.loads((folder / "ablations.json").read_text())["rows"] == rows[1:], "the report is about this run"


def test_what_was_computed_before_an_interruption_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the evaluation, when all was refined; of work that nobody counted nothing is told."""
    folder, out, work = run_with_dreams(tmp_path / "run"), tmp_path / "result.json", tmp_path / "work"
    given = [str(folder), "--work", str(work), "--out", str(out), "--workers", "1", "--rows", "no BC term"]
    evaluate = ablations.evaluate

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ablations, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ablations.main(given)
    monkeypatch.setattr(ablations, "evaluate", evaluate)
    ablations.main(given)
    (counted,) = work.rglob(cpu_time.FILE)
    seconds = json.loads(counted.read_text())["cpu_s"]
    assert seconds > 0 and json.loads(out.read_text())["rows"][0]["refinement_cpu_s"] == seconds
    counted.unlink()
    out.unlink()
    ablations.main(given)
    assert json.loads(out.read_text())["rows"][0]["refinement_cpu_s"] is None


def test_a_run_without_calibrated_uncertainty_says_which_rows_to_leave_out(tmp_path: Path) -> None:
    run = finished_run(run_with_dreams(tmp_path / "run"))
    with pytest.raises(SystemExit, match="leave the rows about disagreement out"):
        ablations.settings_of(run, "disagreement has a price")
    values = {"signals": {"models": {"map": {"disagreement": [0.0, 0.1, 0.2, 0.3, 0.4]}}}}
    (run.checkpoint("world_model_a") / "uncertainty.json").write_text(json.dumps(values))
    assert ablations.settings_of(run, "dreams end where the world models disagree") == [
        "imagination.max_uncertainty=0.4"
    ]
    assert ablations.settings_of(run, "disagreement has a price") == ["imagination.uncertainty_penalty=0.25"]


def test_without_random_motion_the_models_learn_from_the_other_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, trained = run_with_dreams(tmp_path / "run"), []
    shutil.rmtree(folder / "stores" / "practice")
    parts = [
        press_store(tmp_path / "policy", (2, 4), won=(0,)),
        press_store(tmp_path / "random", (3,), source="random"),
    ]
    joined_store(folder / "stores" / "practice", parts)

    def train(run: Run) -> None:
        store = training_store(run, "demonstrations", "practice")
        trained.append([info.source for info in store.infos])
        for seed, name in enumerate("ab"):
            world_model(seed).save(run.checkpoint(f"world_model_{name}"))
            reward_model().save(run.checkpoint(f"reward_{name}"))

    monkeypatch.setattr(ablations, "world_models", train)
    before = files(folder)
    row, out = "no random motion for the world models", tmp_path / "result.json"
    given = [str(folder), "--work", str(tmp_path / "work"), "--out", str(out), "--workers", "1", "--rows", row]
    ablations.main([*given, "--set", *FREE])
    assert trained == [["expert", "expert", "policy", "policy"]]
    assert json.loads(out.read_text())["rows"][0]["settings"] == [ablations.NO_RANDOM, *FREE]
    assert files(folder) == before


def test_world_models_of_all_tasks_are_not_trained_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row without random motion would change two things; the other rows train no world model."""
    run, random = finished_run(run_with_dreams(tmp_path / "run")), "no random motion for the world models"
    others = [row for row in ablations.ROWS if row != random]
    ablations.require_possible(run, [random], [])
    run.write("row.json", {"world_model": {"mode": "per-task"}})
    ablations.require_possible(run, [random], [])
    run.write("row.json", {"world_model": {"mode": "shared"}})
    ablations.require_possible(run, others, [])
    with pytest.raises(SystemExit, match="no BC term"):
        ablations.require_possible(run, ["no BC term"], [ablations.NO_RANDOM])
    monkeypatch.setattr(ablations, "finished_run", lambda path: run)
    with pytest.raises(SystemExit, match=f"those of press_button alone: leave out .* {random}"):
        given = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "result.json")]
        ablations.main([str(run.path), *given, "--rows", random])
    assert not (tmp_path / "work").exists()
    assert ablations.default_rows([run]) == others and random in capsys.readouterr().out
    run.write("row.json", {"world_model": {"mode": "per-task"}})
    assert ablations.default_rows([run]) == list(ablations.ROWS)


def test_a_run_that_cannot_dream_is_refused_before_the_first_row(tmp_path: Path) -> None:
    """Such as a benchmark's row whose fresh episodes could not decide: it is finished, and has no reward models."""
    runs = [run_with_dreams(tmp_path / name) for name in ("dreams", "none")]
    for name in ("reward_a", "reward_b"):
        shutil.rmtree(runs[1] / "checkpoints" / name)
    given = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "result.json"), "--rows", "no BC term"]
    with pytest.raises(SystemExit, match="none has no dream to go on with, reward_a, reward_b are missing"):
        ablations.main([*map(str, runs), *given])
    assert not (tmp_path / "work").exists() and not (tmp_path / "result.json").exists()

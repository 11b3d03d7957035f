"""The ablations' benchmark: rows refine the run's own models under other settings, and leave the run as it is."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import ablations
from ablation_parts import rows
from dream_rig import press_store, reward_model, world_model
from finished_rig import run_with_dreams
from refinement_parts import cpu_time

from world4rl.report.data import read_run
from world4rl.report.page import render
from world4rl.runs.run_folder import Run, joined_store, training_store

FREE = ["replay_check.limits.min_episodes=0", "replay_check.limits.cautious_from=-1"]


def files(folder: Path) -> dict[str, int]:
    """All but the stores, where one of all episodes is put together when it is missing."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if "stores" not in path.parts}


def test_rows_are_written_once_and_shown_in_the_report_of_a_run_that_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = run_with_dreams(tmp_path / "run"), tmp_path / "result.json"
    before = files(folder)
    names = ["none of these", "no BC term"]
    given = [str(folder), "--work", str(tmp_path / "work"), "--out", str(out), "--workers", "1", "--rows"]
    ablations.main([*given, *names])
    found = json.loads(out.read_text())["rows"]
    assert [row["policy"] for row in found] == names
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
    ablations.main([*given, *names])
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


def test_rows_of_other_seeds_are_other_trainings_in_the_same_world_models(tmp_path: Path) -> None:
    folder, out, work = run_with_dreams(tmp_path / "run"), tmp_path / "result.json", tmp_path / "work"
    given = [str(folder), "--work", str(work), "--out", str(out), "--workers", "1", "--rows", "none of these"]
    ablations.main(given)
    own = (folder / "ablations.json").read_text()
    ablations.main([*given, "--seeds", "7", "8"])
    found = json.loads(out.read_text())["rows"]
    assert [row.get("seed") for row in found] == [None, 7, 8]
    assert {row["run_seed"] for row in found} == {0}, "met on the run's own start states"
    assert len({row["imagined_refined"] for row in found} | {row["start_kl"] for row in found}) > 2
    weights = {file.read_bytes() for file in work.rglob("refined/model.safetensors")}
    assert len(weights) == 3
    assert (folder / "ablations.json").read_text() == own, "the report is about one training"
    kept = out.read_text()
    ablations.main([*given, "--seeds", "8"])
    assert out.read_text() == kept
    given[given.index(str(out))] = str(tmp_path / "other.json")
    ablations.main([*given, "--seeds", "8"])
    assert (folder / "ablations.json").read_text() == own, "a file without the run's own row takes nothing from it"
    with pytest.raises(SystemExit, match="own seed"):
        ablations.main([*given, "--seeds", "0"])


def test_a_row_of_a_run_whose_models_were_trained_again_is_worked_out_anew(tmp_path: Path) -> None:
    folder, out, work = run_with_dreams(tmp_path / "run"), tmp_path / "result.json", tmp_path / "work"
    given = [str(folder), "--work", str(work), "--out", str(out), "--workers", "1", "--rows", "no BC term"]
    ablations.main(given)
    world_model(7).save(folder / "checkpoints" / "world_model_a")
    ablations.main(given)
    found = json.loads(out.read_text())["rows"]
    assert len(found) == 2 and len(list(work.rglob("refinement.json"))) == 2
    assert json.loads((folder / "ablations.json").read_text())["rows"] == found[1:], "the report is about this run"


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


@pytest.mark.parametrize("row", ["no dreams for the reward models", "success by a calibrated threshold"])
def test_a_row_about_the_reward_models_trains_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    folder, trained = run_with_dreams(tmp_path / "run"), []
    shutil.rmtree(folder / "stores" / "practice")
    press_store(folder / "stores" / "practice", (2,) * 12, won=(0, 3, 6, 9))

    def train(run: Run) -> None:
        trained.append(run)
        for name in rows.REWARD_MODELS:
            reward_model().save(run.checkpoint(name))

    monkeypatch.setattr(ablations, "reward_models", train)
    before, out = files(folder), tmp_path / "result.json"
    given = [str(folder), "--work", str(tmp_path / "work"), "--out", str(out), "--workers", "1", "--rows", row]
    ablations.main([*given, "--set", *FREE])
    assert files(folder) == before and len(trained) == 1
    (run,) = trained
    assert run.checkpoint("world_model_a").resolve() == (folder / "checkpoints" / "world_model_a").resolve()
    assert run.checkpoint("reward_a").resolve().is_relative_to(tmp_path / "work")
    assert len(training_store(run, "demonstrations", "practice")) == 14
    asked = run.preset.reward
    calibrated = row == "success by a calibrated threshold"
    assert (asked.calibration.threshold == "calibrated", asked.learn_dreams) == (calibrated, calibrated)


@pytest.mark.parametrize(
    ("row", "learned"),
    [
        ("no random motion for the world models", ["expert", "expert", "policy", "policy"]),
        ("no policy episodes for the world models", ["expert", "expert", "random"]),
    ],
)
def test_the_models_of_a_row_about_their_episodes_learn_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, learned: list[str]
) -> None:
    """What is imitated, and where practice begins, stays as in the run."""
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
        assert run.seed == 0 and len(run.store("check")) == 2
        for seed, name in enumerate("ab"):
            world_model(seed).save(run.checkpoint(f"world_model_{name}"))
            reward_model().save(run.checkpoint(f"reward_{name}"))

    monkeypatch.setattr(ablations, "world_models", train)
    before = files(folder)
    out = tmp_path / "result.json"
    given = [str(folder), "--work", str(tmp_path / "work"), "--out", str(out), "--workers", "1", "--rows", row]
    ablations.main([*given, "--set", *FREE])
    assert trained == [learned]
    assert json.loads(out.read_text())["rows"][0]["settings"] == [*rows.ROWS[row], *FREE]
    assert files(folder) == before
    (own,) = (tmp_path / "work").glob("*/*/stores")
    assert own.resolve() == (folder / "stores").resolve()

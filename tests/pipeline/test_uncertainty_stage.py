"""The stage that says what the world models' disagreement means: measured, kept, redone when interrupted, not fatal."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from dream_rig import press_run, press_store

from world4rl import pipeline
from world4rl.pipeline import run_pipeline, uncertainty
from world4rl.presets import load_preset
from world4rl.runs import calibrated_uncertainty
from world4rl.runs.run_folder import Run
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.calibration import UncertaintyCalibration
from world4rl_wm.uncertainty.ensemble_loading import ensemble_of, load_others
from world4rl_wm.uncertainty.kind import UncertaintyKind

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "demo.py"


def made_run(path: Path, lengths: tuple[int, ...] = (5, 3, 4, 6, 5, 4)) -> Run:
    """A run after its replay check, with episodes of random pixels and untrained models."""
    press_store(path / "stores" / "check", lengths)
    return Run(press_run(path, store=False), "press_button", 3, "tiny", load_preset("tiny"), progress=False)


def test_the_run_says_what_disagreement_means_and_dreams_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_run(tmp_path)
    uncertainty(run)
    found, first, other = run.read("uncertainty.json"), run.checkpoint("world_model_a"), run.checkpoint("world_model_b")
    assert found["kind"] == "expected_error" and (found["fitted_episodes"], found["held_out_episodes"]) == (3, 3)
    kept = UncertaintyCalibration.load(first)
    assert found["auroc"] == kept.signals["models"].auroc and found["auroc_ci95"][0] <= found["auroc"]
    assert (
        set(kept.signals) == {"models"} and kept.config.seed == 3 and kept.store_hash == run.store("check").content_hash
    )
    assert f"AUROC {found['auroc']:.2f}" in capsys.readouterr().out
    assert (run.path / "uncertainty.png").read_bytes()[1:4] == b"PNG"
    model = WorldModel.load(first)
    assert ensemble_of(first, load_others(model, [other]))[0].kind is UncertaintyKind.EXPECTED_ERROR


def test_interrupted_it_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made_run(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(calibrated_uncertainty, "uncertainty_picture", interrupted)
        uncertainty(run)
    assert not (run.checkpoint("world_model_a") / "uncertainty.json").exists()
    assert not (run.path / "uncertainty.json").exists()
    uncertainty(run)
    assert run.read("uncertainty.json")["kind"] == "expected_error"


def test_too_few_episodes_do_not_end_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_run(tmp_path, (4,))
    uncertainty(run)
    assert run.read("uncertainty.json")["kind"] == "disagreement"
    assert "1 episodes chosen, at least 2" in run.read("uncertainty.json")["reason"]
    assert "not calibrated" in capsys.readouterr().out and not (run.path / "uncertainty.png").exists()


def test_a_finished_run_without_the_stage_gets_it_and_a_new_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of an earlier version go on where they were: the new stage alone is done, and the report again."""
    run, done = made_run(tmp_path), list[str]()

    def stage(name: str) -> tuple:
        return (lambda run: done.append(name), 1.0)

    run.write("summary.json", {"task": "press_button"})
    run.write("stages.json", {name: {"wall_s": 2.0, "done": True} for name in pipeline.STAGES if name != "uncertainty"})
    monkeypatch.setattr(pipeline, "STAGES", {name: stage(name) for name in pipeline.STAGES})
    run_pipeline(run)
    assert done == ["uncertainty", "report"]
    run_pipeline(run)
    assert done == ["uncertainty", "report"]
    assert run.read("summary.json")["wall_s"]["report"] >= 2.0


def test_results_of_runs_without_the_stage_are_still_put_together() -> None:
    spec = importlib.util.spec_from_file_location("demo_benchmark", BENCHMARK)
    assert spec is not None and spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    committed = [json.loads(path.read_text()) for path in sorted(demo.RESULTS.glob("demo-seed*.json"))]
    newer = [summary | {"uncertainty": {"kind": "expected_error", "auroc": 0.97}} for summary in committed]
    assert committed and demo.text(committed) == demo.text(newer)
    assert f"for {len(committed)} seeds" in demo.text(committed)

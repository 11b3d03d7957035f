"""Which rows the ablations' benchmark has, and which of them a run can have: told before the first is worked out."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import shutil
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import ablations
from ablation_parts import possible, rows
from dream_rig import CONTRACT, press_store
from finished_rig import run_with_dreams
from refinement_parts.runs import finished_run

from world4rl.commands.registry import find
from world4rl.presets import load_preset
from world4rl_wm.reward.model import RewardConfig, RewardModel
from world4rl_wm.uncertainty.kind import UncertaintyMap


@pytest.mark.parametrize("row", rows.ROWS)
def test_every_row_has_settings_that_there_are(row: str) -> None:
    settings = [text.format(limit=0.1, penalty=1.0) for text in rows.ROWS[row]]
    settings += ["reward.network.progress=true"] * (row == "progress is rewarded")  # without it the row is refused
    load_preset("tiny", settings)
    load_preset("metaworld/tiny", settings)


def test_the_limit_of_uncertainty_is_passed_by_one_frame_in_twenty(tmp_path: Path) -> None:
    run = finished_run(run_with_dreams(tmp_path / "run"))
    disagreement = np.random.default_rng(0).exponential(size=100_000)
    middles = UncertaintyMap.fit(disagreement, disagreement, bins=20).disagreement
    told = {"signals": {"models": {"map": {"disagreement": middles}}}}
    (run.checkpoint("world_model_a") / "uncertainty.json").write_text(json.dumps(told))
    values = rows.uncertainty_values(run)
    assert (disagreement > values["limit"]).mean() == pytest.approx(0.05, abs=0.015)
    assert values["penalty"] * values["limit"] == pytest.approx(rows.PENALTY)


def test_a_run_without_calibration_is_told_a_command_that_there_is(tmp_path: Path) -> None:
    run = finished_run(run_with_dreams(tmp_path / "run"))
    with pytest.raises(SystemExit, match="its world models' uncertainty is not calibrated") as refused:
        possible.require_possible([run], ["disagreement has a price"], [])
    words = str(refused.value).split("`")[1].split()
    assert words[0] == "world4rl" and words[2:] == ["--run", str(run.path)]
    found = find(words[1:])
    assert found is not None and "run" in signature(found[1].load()).parameters


def test_rows_about_disagreement_have_the_run_s_own_settings(tmp_path: Path) -> None:
    """Where its two world models were calibrated against each other; noise alone does not do."""
    run, names = finished_run(run_with_dreams(tmp_path / "run")), list(rows.ROWS)[4:6]
    file, signal = run.checkpoint("world_model_a") / "uncertainty.json", {"map": {"disagreement": [0, 0.1, 0.2, 0.4]}}
    for text in (None, json.dumps({"signals": {"noise": signal}})):
        if text:
            file.write_text(text)
        with pytest.raises(SystemExit, match=rf"not calibrated: .*leave out \(--rows, --set\) {', '.join(names)}"):
            possible.require_possible([run], [*names, "no BC term"], [])
    file.write_text(json.dumps({"signals": {"models": signal}}))
    possible.require_possible([run], names, [])
    assert rows.settings_of(run, names[0]) == ["imagination.max_uncertainty=0.4"]
    assert rows.settings_of(run, names[1]) == ["imagination.uncertainty_penalty=0.25"]


def test_what_a_run_cannot_have_is_told_before_the_first_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as a row of Meta-World: nothing calibrated, no progress, few successes. Rows that are named are refused."""
    runs = [finished_run(run_with_dreams(tmp_path / name)) for name in ("demo", "row")]
    signal = {"models": {"map": {"disagreement": [0.1, 0.2]}}}
    for path, progress in ((runs[0].path, True), (runs[1].path, False)):
        config = RewardConfig(CONTRACT.image_channels, width=8, progress=progress)
        for name in rows.REWARD_MODELS:
            RewardModel(config, CONTRACT).save(path / "checkpoints" / name)
    (runs[0].checkpoint("world_model_a") / "uncertainty.json").write_text(json.dumps({"signals": signal}))
    for name, won in (("demonstrations", (0,)), ("practice", ())):
        shutil.rmtree(runs[1].path / "stores" / name)
        press_store(runs[1].path / "stores" / name, (3,), won, source="expert" if won else "policy")
    cannot = ["dreams end where the world models disagree", "disagreement has a price", "progress is rewarded"]
    cannot += ["success by a calibrated threshold", "starts at key frames too"]
    told = [f"calibrate-uncertainty --run {runs[1].path}", "reward.network.progress=true", "there is no key frame"]
    told += ["1 successes and 1 failures are too few"]
    found = possible.default_rows(runs, [])
    assert found == [name for name in rows.ROWS if name not in cannot]
    said = capsys.readouterr().out
    assert all(words in said for words in (*cannot, *told))
    assert possible.default_rows(runs[:1], []) == [name for name in rows.ROWS if name != cannot[-1]]
    monkeypatch.setattr(ablations, "refined", lambda *_: pytest.fail("a row was worked out"))
    given = [str(run.path) for run in runs]
    given += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "result.json"), "--rows", "no BC term"]
    for name in cannot:
        with pytest.raises(SystemExit, match=rf"leave out \(--rows, --set\) {name}$"):
            ablations.main([*given, name])
    with pytest.raises(SystemExit, match=r"ppo\.imagined_bc is 0\.5, but nothing would be imitated"):
        ablations.main([*given, "--set", "ppo.imagined_bc=0.5"])
    possible.require_possible(runs, ["progress is rewarded"], ["reward.network.progress=true"])
    with pytest.raises(SystemExit, match="no row is left"):
        possible.default_rows(runs, ["ppo.min_std=5"])


def test_world_models_of_all_tasks_are_not_trained_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows about their episodes would change two things; the other rows train no world model."""
    run = finished_run(run_with_dreams(tmp_path / "run"))
    episodes = ["no random motion for the world models", "no policy episodes for the world models"]
    readers = "no dreams for the reward models"
    monkeypatch.setattr(possible, "finished_run", lambda path, settings: run)
    monkeypatch.setattr(ablations, "finished_run", lambda path: run)
    for mode in (None, "per-task"):
        if mode:
            run.write("row.json", {"world_model": {"mode": mode}})
        possible.require_possible([run], episodes, [])
        assert {*episodes, readers} <= set(possible.default_rows([run], []))
    run.write("row.json", {"world_model": {"mode": "shared"}})
    possible.require_possible([run], [readers, "no BC term"], [])
    with pytest.raises(SystemExit, match="no BC term"):
        possible.require_possible([run], ["no BC term"], [rows.NO_RANDOM])
    with pytest.raises(SystemExit, match=f"those of press_button alone.* leave out .* {', '.join(episodes)}"):
        given = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "result.json")]
        ablations.main([str(run.path), *given, "--rows", *episodes])
    assert not (tmp_path / "work").exists()
    left, said = possible.default_rows([run], []), capsys.readouterr().out
    assert readers in left and not set(episodes) & set(left) and all(row in said for row in episodes)


def test_a_run_that_cannot_dream_is_refused_before_the_first_row(tmp_path: Path) -> None:
    """Such as a benchmark's row whose fresh episodes could not decide: it is finished, and has no reward models."""
    runs = [run_with_dreams(tmp_path / name) for name in ("dreams", "none")]
    for name in ("reward_a", "reward_b"):
        shutil.rmtree(runs[1] / "checkpoints" / name)
    given = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "result.json"), "--rows", "no BC term"]
    with pytest.raises(SystemExit, match="none has no dream to go on with, reward_a, reward_b are missing"):
        ablations.main([*map(str, runs), *given])
    assert not (tmp_path / "work").exists() and not (tmp_path / "result.json").exists()

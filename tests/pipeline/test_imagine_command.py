"""`world4rl imagine` and `calibrate-uncertainty`: the same film again, and dreams that noise cannot tell apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from dream_rig import press_store, reward_model, world_model

from world4rl.cli import main
from world4rl_wm.model.world_model import WorldModel


def silent(seed: int = 0) -> WorldModel:
    """A world model that samples from no noise."""
    model = world_model(seed)
    model.config = replace(model.config, edm=replace(model.config.edm, noise_scale=0.0))
    return model


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imagine")
    press_store(root / "store", (5, 3, 4, 6, 5, 4))
    world_model().save(root / "noisy")
    silent().save(root / "silent")
    silent(7).save(root / "other")
    reward_model().save(root / "reward")
    return root


def imagine(work: Path, out: Path, model: str, *more: str) -> int:
    words = ["imagine", "--store", str(work / "store"), "--world-model", str(work / model), "--episode", "1"]
    return main([*words, "--reward", str(work / "reward"), "--out", str(out), *more])


def test_the_same_film_again_overwrites_film_and_numbers(work: Path, tmp_path: Path) -> None:
    """As the pages have it: one dream of an episode, then three of the same one."""
    out, run = tmp_path / "dream.mp4", tmp_path / "dream.run"
    for samples in (1, 1, 3):
        assert imagine(work, out, "noisy", "--samples", str(samples)) == 0
        assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
        record = yaml.safe_load((run / "command.yaml").read_text())
        assert record["finished"] and record["settings"]["samples"] == samples


def test_dreams_from_no_noise_are_said_to_be_alike(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, samples, said in (("silent", 2, True), ("silent", 1, False), ("noisy", 2, False)):
        assert imagine(work, tmp_path / f"{model}.mp4", model, "--samples", str(samples)) == 0
        assert ("samples: all dreams are alike" in capsys.readouterr().out) == said, (model, samples)


def test_copies_are_not_measured_for_uncertainty(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["calibrate-uncertainty", "--store", str(work / "store"), "--bins", "3"]
    words += ["--world-model", str(work / "silent")]
    assert main([*words, "--ensemble", str(work / "other")]) == 0
    said = capsys.readouterr().out
    assert "noise: not measured, for this world model samples from none" in said and "noise: AUROC" not in said
    assert main(words) == 2
    assert "give another world model" in capsys.readouterr().err

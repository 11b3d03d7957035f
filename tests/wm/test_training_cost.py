"""The dry run: right sizes, a measured time, and nothing left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_models import small_contract, small_store, world_model

from world4rl_wm.model.denoiser import Denoiser
from world4rl_wm.training import cost
from world4rl_wm.training.cost import denoiser_gflops, training_cost
from world4rl_wm.training.step import WorldModelTraining


@pytest.mark.parametrize("composed", [False, True])
def test_cost_of_a_small_training(tmp_path: Path, composed: bool) -> None:
    store = small_store(tmp_path / "store", small_contract(), (6, 5))
    model = world_model(store.contract, composed=composed)
    config = WorldModelTraining(steps=3600, batch_size=4, rollout_steps=2)
    before = sorted(tmp_path.rglob("*"))
    found = training_cost(store, [0, 1], model.config, config)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert 0 < found.seconds_per_step < 60 and found.state_model_hours > 0
    assert found.hours == pytest.approx(found.seconds_per_step + found.state_model_hours)
    assert found.processes == 1 and found.peak_memory_mb > 50
    assert f"{found.gflops_per_frame:.3g} GFLOP for one frame" in str(found)
    assert sorted(tmp_path.rglob("*")) == before


def test_every_depth_of_dreamed_past_counts_as_often_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that goes 1 s for a step and 2 s more for each dreamed frame, 3 s for one of the state model."""
    store, now = small_store(tmp_path / "store", small_contract(), (6, 5)), [0.0]

    def spend(seconds: float) -> torch.Tensor:
        now[0] += seconds
        return torch.zeros(())

    monkeypatch.setattr(cost.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(cost.TrainingStep, "take", lambda self, step, depth: spend(1 + 2 * depth))
    monkeypatch.setattr(cost, "state_step", lambda *_: spend(3))
    config = WorldModelTraining(steps=100, batch_size=4, rollout_steps=3, rollout_share=0.25)
    found = training_cost(store, [0, 1], world_model(store.contract).config, config)
    assert found.seconds_per_step == pytest.approx(0.75 * 1 + 0.25 * (1 + 3 + 5 + 7) / 4)
    assert found.state_model_hours == pytest.approx(3 * config.state.steps / 3600)
    without = training_cost(store, [0, 1], world_model(store.contract).config, replace(config, rollout_share=0.0))
    assert without.seconds_per_step == pytest.approx(1)


def test_computation_of_the_denoiser() -> None:
    """More than its first layer, counted by hand, and four times as much for twice the channels (or nearly)."""
    config = replace(world_model(small_contract()).config.denoiser, widths=(64, 64), groups=8, layers=1)
    narrow, wide = Denoiser(config), Denoiser(replace(config, widths=(128, 128)))
    first = narrow.unet.conv_in
    pixels = (config.image_size // config.stem) ** 2
    by_hand = 2 * first.in_channels * first.out_channels * 9 * pixels / 1e9
    assert by_hand < denoiser_gflops(narrow) < 1.0
    assert 3 < denoiser_gflops(wide) / denoiser_gflops(narrow) < 4

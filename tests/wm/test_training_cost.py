"""The dry run: right sizes, a measured time, and nothing left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_models import small_contract, small_store, world_model

from world4rl_wm.model.denoiser import Denoiser
from world4rl_wm.training.cost import denoiser_gflops, training_cost
from world4rl_wm.training.step import WorldModelTraining


@pytest.mark.parametrize("composed", [False, True])
def test_cost_of_a_small_training(tmp_path: Path, composed: bool) -> None:
    store = small_store(tmp_path / "store", small_contract(), (6, 5))
    model = world_model(store.contract, composed=composed)
    config = WorldModelTraining(steps=3600, batch_size=4, rollout_steps=2)
    before = sorted(tmp_path.rglob("*"))
    cost = training_cost(store, [0, 1], model.config, config)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert 0 < cost.seconds_per_step < 60 and cost.hours == pytest.approx(cost.seconds_per_step)
    assert cost.processes == 1 and cost.peak_memory_mb > 50
    assert f"{cost.gflops_per_frame:.3g} GFLOP for one frame" in str(cost)
    assert sorted(tmp_path.rglob("*")) == before


def test_computation_of_the_denoiser() -> None:
    """More than its first layer, counted by hand, and four times as much for twice the channels (or nearly)."""
    config = replace(world_model(small_contract()).config.denoiser, widths=(64, 64), groups=8, layers=1)
    narrow, wide = Denoiser(config), Denoiser(replace(config, widths=(128, 128)))
    first = narrow.unet.conv_in
    pixels = (config.image_size // config.stem) ** 2
    by_hand = 2 * first.in_channels * first.out_channels * 9 * pixels / 1e9
    assert by_hand < denoiser_gflops(narrow) < 1.0
    assert 3 < denoiser_gflops(wide) / denoiser_gflops(narrow) < 4

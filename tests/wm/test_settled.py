"""What is taken for grain stays out of a dream, what moves stays in it."""

from __future__ import annotations

import dataclasses

import torch
from small_models import small_contract, world_model

from world4rl_wm.model.world_model import WorldModel, WorldModelConfig, settled


def test_grain_is_left_out_and_what_moves_is_kept_in_each_view_by_itself() -> None:
    grain = 0.02 * torch.randn(1, 6, 16, 16, generator=torch.Generator().manual_seed(0))
    change = grain.clone()
    change[:, 4, 4:8, 4:8] = -0.6  # one colour of the second view
    found = settled(change, 0.07)
    assert not found[:, :3].any()
    assert torch.equal(found[:, 3:, 4:8, 4:8], change[:, 3:, 4:8, 4:8])
    assert not found[:, 3:, 10:, 10:].any()


def test_zero_leaves_every_change() -> None:
    change = torch.full((1, 3, 4, 4), 1e-4)
    assert torch.equal(settled(change, 0.0), change)


def test_a_world_model_keeps_still_pixels_and_its_config_survives_a_checkpoint(tmp_path) -> None:
    model = world_model(small_contract())
    model.config = dataclasses.replace(model.config, still_change=2.0)  # nothing changes as much
    d = model.config.denoiser
    frames = torch.rand(2, d.history, d.image_channels, d.image_size, d.image_size) * 2 - 1
    actions = torch.zeros(2, d.history, d.action_dim)
    assert torch.equal(model.eval().predict(frames, actions), frames[:, -1])
    assert WorldModel.load(model.save(tmp_path / "model")).config == model.config
    before = {key: value for key, value in model.config.to_dict().items() if key != "still_change"}
    assert WorldModelConfig.from_dict(before).still_change == 0.0

"""The denoiser's backbones behind one interface: each is told noise level, action and task, is saved and loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from small_models import SIZE, reloaded, small_contract, small_store, world_model

from world4rl.presets import load_preset
from world4rl_wm.model.denoiser import Denoiser, DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.training.cost import training_cost
from world4rl_wm.training.step import WorldModelTraining

CONFIGS = {
    "unet": DenoiserConfig(6, SIZE, 3, proprio_dim=2, widths=(8, 8), layers=1, task_dim=5),
    "dit": DenoiserConfig(6, SIZE, 3, proprio_dim=2, backbone="dit", widths=(16,), layers=2, heads=2, task_dim=5),
}


def of_contract(config: DenoiserConfig) -> WorldModelConfig:
    contract = small_contract()
    shapes = {"action_dim": contract.action_dim, "proprio_dim": contract.proprio_dim, "task_dim": 0}
    return WorldModelConfig(replace(config, **shapes))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_input_reaches_the_output_and_learns(name: str) -> None:
    """A condition that is dropped on the way leaves a world model that follows no action."""
    torch.manual_seed(0)
    denoiser, generator = Denoiser(CONFIGS[name]), torch.Generator().manual_seed(1)
    for weights in denoiser.parameters():  # a dit begins with zeros behind its conditions
        torch.nn.init.normal_(weights, std=0.3, generator=generator)
    shapes = ((2, 6, SIZE, SIZE), (2,), (2, 4, 6, SIZE, SIZE), (2, 4, 3), (2, 2, 2), (2, 5))
    inputs = [torch.rand(shape, generator=generator).requires_grad_() for shape in shapes]
    out = denoiser(*inputs)
    assert out.shape == shapes[0]
    out.square().sum().backward()
    for value in (*inputs, *denoiser.parameters()):
        assert value.grad is not None
    for value in inputs:
        assert value.grad is not None and float(value.grad.abs().min(-1).values.max()) > 0


def test_a_dit_begins_as_a_network_that_predicts_nothing() -> None:
    """adaLN-Zero: without it a deep transformer's first steps are wild."""
    config = CONFIGS["dit"]
    denoiser = Denoiser(replace(config, proprio_dim=0, task_dim=0))
    frames = torch.rand(2, 5, 6, SIZE, SIZE)
    assert torch.equal(denoiser(frames[:, 0], torch.zeros(2), frames[:, 1:], torch.zeros(2, 4, 3)), 0 * frames[:, 0])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_world_model_of_each_backbone_is_saved_loaded_and_costed(name: str, tmp_path: Path) -> None:
    config, contract = of_contract(CONFIGS[name]), small_contract()
    model = reloaded(config, contract, tmp_path / name)
    cost = training_cost(small_store(tmp_path / "store", contract, (6,)), [0], config, WorldModelTraining(batch_size=2))
    assert cost.parameters == sum(p.numel() for p in model.parameters())


def test_a_preset_chooses_the_backbone() -> None:
    changes = ["backbone=dit", "widths=[64]", "layers=2"]
    preset = load_preset("tiny", [f"world_model.denoiser.{change}" for change in changes])
    assert Denoiser(preset.world_model_config(small_contract()).denoiser).backbone.config.num_layers == 2


def test_checkpoints_from_before_the_choice_are_u_nets(tmp_path: Path) -> None:
    """Neither their settings nor the names of their weights may have to change."""
    model = world_model(small_contract()).requires_grad_(False)
    path = model.save(tmp_path / "old")
    config = yaml.safe_load((path / "config.yaml").read_text())
    for name in ("backbone", "heads", "task_dim"):
        del config["denoiser"][name]
    del config["tasks"]
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    old = WorldModel.load(path)
    assert old.config == model.config and old.denoiser.backbone is old.denoiser.unet
    assert "denoiser.unet.conv_in.weight" in model.state_dict()
    assert not [name for name in model.state_dict() if "frequencies" in name], "a constant, which no checkpoint has"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": "vit"}, "no backbone 'vit': use one of unet, dit"),
        ({"backbone": "dit", "widths": (16, 16)}, r"one width, a multiple of its 4 heads, got widths \[16, 16\]"),
        ({"backbone": "dit", "widths": (18,)}, "multiple of its 4 heads"),
    ],
)
def test_backbones_that_cannot_be_are_named(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Denoiser(replace(CONFIGS["unet"], **change))

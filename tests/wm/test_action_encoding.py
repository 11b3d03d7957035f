"""Action encodings lose what they say they lose, pass gradients on as they say, and let no broken action through."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import small_models
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from world4rl.presets import load_preset
from world4rl_wm.model.action_encoding import ENCODINGS, Linear, OneHot, TwoHot, action_encoding
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig

ACTIONS = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=7)
BINS = st.integers(2, 41)
NAMES = pytest.mark.parametrize("name", ENCODINGS)


@settings(deadline=None)
@given(ACTIONS, BINS, st.sampled_from(["two_hot", "linear"]))
def test_round_trip_loses_nothing(values: list[float], bins: int, name: str) -> None:
    actions, encoding = torch.tensor(values), action_encoding(name, bins)
    encoded = encoding.encode(actions)
    assert encoded.shape == (encoding.size(len(values)),)
    torch.testing.assert_close(encoding.decode(encoded), actions, atol=1e-5, rtol=0)


@settings(deadline=None)
@given(ACTIONS, BINS)
def test_one_hot_loses_half_a_bin_at_most(values: list[float], bins: int) -> None:
    actions, encoding = torch.tensor(values), OneHot(bins)
    encoded = encoding.encode(actions)
    assert encoded.unflatten(-1, (-1, bins)).sum(-1).tolist() == [1.0] * len(values) and set(encoded.tolist()) <= {0, 1}
    assert float((encoding.decode(encoded) - actions).abs().max()) <= 1 / (bins - 1) + 1e-5


@settings(deadline=None)
@given(ACTIONS, BINS)
def test_two_hot_weights_are_shares_of_two_neighbouring_bins(values: list[float], bins: int) -> None:
    weights = TwoHot(bins).encode(torch.tensor(values)).unflatten(-1, (-1, bins))
    assert weights.shape == (len(values), bins)
    assert float(weights.min()) >= 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(values)))
    for row in weights:
        used = row.nonzero().squeeze(1).tolist()
        assert len(used) <= 2 and used[-1] - used[0] <= 1


@settings(deadline=None)
@given(st.floats(-1, 1, width=32), BINS, st.sampled_from(["two_hot", "linear"]))
def test_gradient_of_the_round_trip_is_one(value: float, bins: int, name: str) -> None:
    """Also on a bin's centre, where the two neighbours change, and at the edges, which have one."""
    action, encoding = torch.tensor([value], requires_grad=True), action_encoding(name, bins)
    encoding.decode(encoding.encode(action)).sum().backward()
    assert action.grad is not None
    torch.testing.assert_close(action.grad, torch.ones(1), atol=1e-4, rtol=0)


def test_one_hot_passes_no_gradient_on() -> None:
    assert not OneHot(5).encode(torch.tensor([0.3], requires_grad=True)).requires_grad


@pytest.mark.parametrize("encoding", [TwoHot(21), OneHot(21)])
def test_edges_and_centres_are_one_hot(encoding: TwoHot | OneHot) -> None:
    centres = torch.linspace(-1, 1, 21)
    torch.testing.assert_close(encoding.encode(centres.unsqueeze(1)), torch.eye(21), atol=1e-5, rtol=0)


def test_dimensions_come_one_after_the_other() -> None:
    actions = torch.tensor([[[-1.0, 0.5]]])
    torch.testing.assert_close(TwoHot(3).encode(actions), torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.5, 0.5]]]))
    torch.testing.assert_close(OneHot(3).encode(actions + 0.1), torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]]))
    torch.testing.assert_close(Linear().encode(actions), actions)


@NAMES
def test_rounding_beyond_one_is_the_edge(name: str) -> None:
    encoding = action_encoding(name, 5)
    for sign in (1.0, -1.0):
        just_outside, edge = torch.tensor([sign * 1.000005]), torch.tensor([sign])
        torch.testing.assert_close(encoding.encode(just_outside), encoding.encode(edge), atol=0, rtol=0)


@NAMES
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.001, -2.0])
def test_broken_actions_are_refused(name: str, value: float) -> None:
    """One bad value among good ones must not become a silent, wrong condition of the world model."""
    with pytest.raises(ValueError, match="finite and lie in"):
        action_encoding(name).encode(torch.tensor([[0.0, 0.1], [0.2, value]]))


def test_unknown_names_and_one_bin_are_refused() -> None:
    with pytest.raises(ValueError, match="'three_hot': use one of two_hot, one_hot, linear"):
        action_encoding("three_hot")
    for name in ("two_hot", "one_hot"):
        with pytest.raises(ValueError, match="at least 2 bins, got 1"):
            action_encoding(name, 1)


@NAMES
def test_a_world_model_of_each_encoding_is_saved_loaded_and_chosen_by_a_preset(name: str, tmp_path: Path) -> None:
    contract = small_models.small_contract()
    default = small_models.world_model(contract).config
    config = WorldModelConfig(replace(default.denoiser, encoding=name), default.edm, default.change_scale)
    small_models.reloaded(config, contract, tmp_path / name)
    preset = load_preset("tiny", [f"world_model.denoiser.encoding={name}"])
    assert preset.world_model_config(contract).denoiser.encoding == name


def test_checkpoints_from_before_the_choice_are_two_hot(tmp_path: Path) -> None:
    model = small_models.world_model(small_models.small_contract()).requires_grad_(False)
    path = model.save(tmp_path / "old")
    config = yaml.safe_load((path / "config.yaml").read_text())

    def without(values: dict) -> dict:
        return {k: without(v) if isinstance(v, dict) else v for k, v in values.items() if k != "encoding"}

    assert without(config) != config
    (path / "config.yaml").write_text(yaml.safe_dump(without(config)))
    old = WorldModel.load(path)
    assert old.config.denoiser.encoding == "two_hot"
    assert torch.equal(old.denoiser.action_embedding[0].weight, model.denoiser.action_embedding[0].weight)

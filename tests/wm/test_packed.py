"""Packed layers are layers: the same results, only for frozen weights, and never those of weights that have changed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from small_models import small_contract, world_model
from torch import Tensor, nn

from world4rl_wm.model import packed
from world4rl_wm.model.denoiser import space_to_depth
from world4rl_wm.model.packed import PackedConv2d, PackedLinear, PackedWinogradConv2d, use_packed
from world4rl_wm.model.plain_layers import plain_layers

CONVOLUTIONS: list[dict[str, object]] = [
    {"padding": 1},
    {"padding": 1, "stride": 2},
    {"kernel_size": 1},
    {"padding": 1, "bias": False},
    {"padding": 2, "dilation": 2, "groups": 2},
]


def frozen(layer: nn.Module) -> nn.Module:
    use_packed(nn.Sequential(layer))
    return layer.requires_grad_(False)


def convolution(**options: object) -> nn.Module:
    torch.manual_seed(0)
    return frozen(nn.Conv2d(8, 16, **{"kernel_size": 3, **options}))  # type: ignore[arg-type]


def packs(work: Callable[[], Tensor], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many weights were packed anew while `work` was done."""
    found, own = [], packed._pack

    def counted(layer: nn.Conv2d | nn.Linear, x: Tensor, pack: Callable[[Tensor], Tensor]) -> tuple[Tensor, object]:
        def once(weight: Tensor) -> Tensor:
            found.append(weight)
            return pack(weight)

        return own(layer, x, once)

    monkeypatch.setattr(packed, "_pack", counted)
    work()
    monkeypatch.undo()
    return len(found)


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_a_packed_convolution_is_that_convolution(
    options: dict[str, object], bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = convolution(**options)
    assert type(layer) is PackedConv2d
    for batch in (1, 5, 1):
        x = torch.randn(batch, 8, 8, 8).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            with plain_layers():
                expected = layer(x)
            assert packs(lambda x=x: layer(x), monkeypatch) == 1  # type: ignore[misc]
            assert packs(lambda x=x: layer(x), monkeypatch) == 0  # type: ignore[misc]
            found = layer(x)
        assert found.dtype == expected.dtype and found.stride() == expected.stride()
        torch.testing.assert_close(found, expected, rtol=1e-2 if bfloat16 else 1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 24), (7, 24), (2, 3, 24)])
def test_a_packed_linear_layer_is_that_layer(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    layer = frozen(nn.Linear(24, 40))
    assert type(layer) is PackedLinear
    x = torch.randn(shape)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with plain_layers():
            expected = layer(x)
        assert packs(lambda: layer(x), monkeypatch) == 1
        torch.testing.assert_close(layer(x), expected, rtol=1e-2, atol=1e-4)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias)), "float32 stays with the BLAS"


def test_a_changed_weight_is_packed_again() -> None:
    layer, x = convolution(padding=1), torch.randn(2, 8, 8, 8)
    before = layer(x)
    layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})
    torch.testing.assert_close(layer(x), 2 * before)
    layer.weight.data = torch.zeros_like(layer.weight)
    torch.testing.assert_close(layer(x), layer.bias.view(1, -1, 1, 1).expand(2, -1, 8, 8))


def test_what_still_learns_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = convolution(padding=1).requires_grad_(True), torch.randn(2, 8, 8, 8)
    assert packs(lambda: layer(x), monkeypatch) == 0
    with torch.no_grad():
        assert packs(lambda: layer(x), monkeypatch) == 0
    layer.requires_grad_(False)
    asked = x.clone().requires_grad_()
    layer(asked).sum().backward()
    assert asked.grad is not None and bool(asked.grad.any()), "gradients of the input go through a frozen layer"


def test_a_packed_network_can_be_copied_and_pickled() -> None:
    layer, x = convolution(padding=1), torch.randn(2, 8, 8, 8)
    expected = layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x), expected)


def test_layers_that_pad_in_other_ways_are_left_alone() -> None:
    for layer in (nn.Conv2d(3, 3, 3, padding="same"), nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")):
        use_packed(nn.Sequential(layer))
        assert type(layer) is nn.Conv2d


def test_a_frozen_world_model_dreams_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = world_model(small_contract()).eval().requires_grad_(False)
    assert sum(isinstance(layer, PackedWinogradConv2d) for layer in model.modules()) > 10
    context, actions = torch.rand(1, 4, 6, 16, 16) * 2 - 1, torch.rand(1, 4, 3) * 2 - 1
    proprio, noise = torch.randn(1, 2, 3), torch.randn(1, 6, 16, 16)

    def frame() -> Tensor:
        return model.step(context, actions, proprio, noise=noise)[0]

    with plain_layers():
        expected = frame()
    assert packs(frame, monkeypatch) > 10
    torch.testing.assert_close(frame(), expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_space_to_depth_is_pixel_unshuffle(size: int) -> None:
    frames = torch.randn(3, 5, 8, 16)
    found = space_to_depth(frames, size)
    assert torch.equal(found, F.pixel_unshuffle(frames, size))
    assert found.is_contiguous(memory_format=torch.channels_last)

"""Winograd's convolutions are convolutions: same results and gradients, taken only where they may be."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_models import small_contract, world_model
from torch import nn

from world4rl_wm.model import winograd
from world4rl_wm.model.plain_layers import plain_layers
from world4rl_wm.model.winograd import WinogradConv2d, use_winograd


@pytest.fixture(autouse=True)
def any_number_of_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)


def layer(channels: int = 3, out: int = 5, **options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, out, **{"kernel_size": 3, "padding": 1, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(32, 3, 4, 4), (2, 3, 16, 24), (8, 3, 8, 8)])
def test_result_and_gradients_are_those_of_a_convolution(
    shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    exact = layer().double()
    quick = layer()
    use_winograd(nn.Sequential(quick))
    x = torch.randn(shape).contiguous(memory_format=memory_format).requires_grad_()
    weight = torch.randn(shape[0], 5, *shape[2:])
    y = quick(x)
    assert type(y.grad_fn).__name__ == "_WinogradBackward"
    y.backward(weight)
    reference = x.detach().double().requires_grad_()
    expected = F.conv2d(reference, exact.weight, exact.bias, padding=1)
    expected.backward(weight.double())
    assert x.grad is not None and reference.grad is not None
    for found, true in [
        (y, expected),
        (x.grad, reference.grad),
        (quick.weight.grad, exact.weight.grad),
        (quick.bias.grad, exact.bias.grad),
    ]:
        assert float((found.detach() - true.detach()).norm() / true.detach().norm()) < 1e-5


@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"kernel_size": 1, "padding": 0}, {"padding": 0}, {"dilation": 2}, {"bias": False}]
)
def test_other_convolutions_are_left_alone(options: dict[str, object]) -> None:
    other = layer(**options)
    use_winograd(nn.Sequential(other))
    assert type(other) is nn.Conv2d


def test_the_direct_way_where_the_other_is_not_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = layer()
    use_winograd(nn.Sequential(quick))
    plenty = torch.randn(32, 3, 8, 8)
    expected = F.conv2d(plenty, quick.weight, quick.bias, padding=1)

    def forbidden(*_: object) -> None:
        raise AssertionError("by Winograd's algorithm")

    monkeypatch.setattr(winograd._Winograd, "apply", forbidden)
    with pytest.raises(AssertionError):
        quick(plenty)
    with plain_layers():
        assert torch.equal(quick(plenty), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert quick(plenty).dtype == torch.bfloat16
    for few in (plenty[:1], torch.randn(32, 3, 6, 8)):
        quick(few)
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 64)
    assert torch.equal(quick(plenty), expected)


def test_a_world_model_learns_the_same_either_way() -> None:
    """Its convolutions take the quick way, and the loss's gradient stays what it was."""
    model = world_model(small_contract())
    assert sum(isinstance(layer, WinogradConv2d) for layer in model.modules()) > 10
    context = torch.rand(16, 4, 6, 16, 16) * 2 - 1
    actions = torch.rand(16, 4, 3) * 2 - 1
    x, c_noise, proprio = torch.randn(16, 6, 16, 16), torch.randn(16), torch.randn(16, 2, 3)

    def gradient() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model.denoiser(x, c_noise, context, actions, proprio).square().mean().backward()
        return {name: p.grad.clone() for name, p in model.denoiser.named_parameters() if p.grad is not None}

    with plain_layers():
        expected = gradient()
    found = gradient()
    assert found.keys() == expected.keys()
    size = max(float(value.norm()) for value in expected.values())
    for name, value in expected.items():
        assert float((found[name] - value).norm()) < 1e-4 * max(float(value.norm()), 1e-2 * size), name

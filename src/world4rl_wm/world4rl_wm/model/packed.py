"""Layers of a frozen network on a CPU that keep their weights as oneDNN wants them.

Else every step brings them there anew: autocast turns each weight into bfloat16 and oneDNN puts it into its own order.
In a dream of one frame that is most of the work. The results are the same, and the operators those that torch.compile
takes for frozen weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from world4rl_wm.model.plain_layers import plain_layers_asked
from world4rl_wm.model.winograd import WinogradConv2d

_packed: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""By weight: for which version of it, which number format and how many items it was packed; weight and bias."""


class PackedConv2d(nn.Conv2d):
    """A convolution that packs its weight once it is frozen."""

    def forward(self, input: Tensor) -> Tensor:
        if not _may_pack(self, input):
            return super().forward(input)
        x = input.to(_number_format(input))
        shape = self.padding, self.stride, self.dilation, self.groups
        weight, bias = _pack(
            self, x, lambda w: torch.ops.mkldnn._reorder_convolution_weight(w, *map(_listed, shape), list(x.shape))
        )
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *map(_listed, shape), "none", [], "")


class PackedWinogradConv2d(WinogradConv2d, PackedConv2d):
    """By Winograd's algorithm where that is the quicker way, else packed."""


class PackedLinear(nn.Linear):
    """A linear layer that packs its weight once it is frozen."""

    def forward(self, input: Tensor) -> Tensor:
        if not _may_pack(self, input) or _number_format(input) != torch.bfloat16:
            return super().forward(input)  # in float32 oneDNN's way is not quicker than that of the BLAS
        x = input.to(torch.bfloat16)
        items = x.numel() // x.shape[-1]
        weight, bias = _pack(self, x, lambda w: torch.ops.mkldnn._reorder_linear_weight(w, items))
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


_PACKED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: PackedConv2d,
    WinogradConv2d: PackedWinogradConv2d,
    nn.Linear: PackedLinear,
}


def use_packed(module: nn.Module) -> None:
    """Turn the layers in `module` into such that pack frozen weights; parameters and their names stay."""
    for layer in module.modules():
        if getattr(layer, "padding_mode", "zeros") == "zeros" and not isinstance(getattr(layer, "padding", 0), str):
            layer.__class__ = _PACKED.get(type(layer), type(layer))


def _may_pack(layer: nn.Conv2d | nn.Linear, x: Tensor) -> bool:
    return (
        not layer.weight.requires_grad
        and x.device.type == "cpu"
        and x.numel() > 0
        and not (torch.is_grad_enabled() and x.requires_grad)
        and not (plain_layers_asked() or torch.compiler.is_compiling())
        and torch.backends.mkldnn.is_available()
        and _number_format(x) in (torch.float32, torch.bfloat16)
    )


def _number_format(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _pack(layer: nn.Conv2d | nn.Linear, x: Tensor, pack: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of `layer`, packed for inputs of x's format and number of items."""
    wanted = (layer.weight._version, layer.weight.data_ptr(), x.dtype, x.shape)
    held: tuple[Any, Tensor, Tensor | None] | None = _packed.get(layer.weight)
    if held is None or held[0] != wanted:
        with torch.no_grad():
            bias = None if layer.bias is None else layer.bias.to(x.dtype)
            held = (wanted, pack(layer.weight.to(x.dtype)), bias)
        _packed[layer.weight] = held
    return held[1], held[2]


def _listed(value: int | tuple[int, ...]) -> int | list[int]:
    return list(value) if isinstance(value, tuple) else value

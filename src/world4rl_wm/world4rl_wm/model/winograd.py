"""Convolutions by Winograd's algorithm F(4 x 4, 3 x 3) (Lavin & Gray 2016, arXiv 1509.09308), for float32 on CPUs.

A tile of 4 x 4 results takes 36 multiplications per pair of channels instead of 144. Training gains most: the
transformed input is kept for the weights' gradient, for which direct convolution is slowest. Results differ from those
of `F.conv2d` by rounding, about 1e-6 of their size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from world4rl_wm.model.plain_layers import plain_layers_asked

TILE, TAPS = 4, 6
"""Results and inputs along a side of a tile."""
LEAST_TILES, LEAST_CHANNELS = 32, 64
"""With fewer tiles in a batch or fewer channels, the transforms cost more than they save."""

# the matrices B^T, G and A^T of the paper for interpolation at 0, 1, -1, 2, -2 and infinity
_INPUT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_WEIGHT = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]  # of 24
_RESULT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


def _both_sides(matrix: list[list[int]], scale: float = 1.0) -> Tensor:
    """``X -> M X M^T`` as one matrix that acts on flattened tiles."""
    m = torch.tensor(matrix, dtype=torch.float64) / scale
    return torch.kron(m, m).float()


_B, _G, _A = _both_sides(_INPUT), _both_sides(_WEIGHT, 24), _both_sides(_RESULT)


class WinogradConv2d(nn.Conv2d):
    """A convolution of 3 x 3 with stride 1 and padding 1, by Winograd's algorithm where that is the quicker way."""

    def forward(self, input: Tensor) -> Tensor:
        if min(self.in_channels, self.out_channels) >= LEAST_CHANNELS and _worthwhile(input):
            return _Winograd.apply(input, self.weight, self.bias)
        return super().forward(input)


def use_winograd(module: nn.Module) -> None:
    """Turn the convolutions in `module` that allow it into `WinogradConv2d`; parameters and their names stay."""
    for layer in module.modules():
        if type(layer) is nn.Conv2d and layer.bias is not None and _setting(layer) == _ALLOWED:
            layer.__class__ = WinogradConv2d


_ALLOWED = ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def _setting(layer: nn.Conv2d) -> tuple[object, ...]:
    return (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups, layer.padding_mode)


def _worthwhile(x: Tensor) -> bool:
    batch, _, height, width = x.shape
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and height % TILE == 0
        and width % TILE == 0
        and batch * height * width >= LEAST_TILES * TILE**2
        and not (plain_layers_asked() or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling())
    )


class _Winograd(torch.autograd.Function):
    """``Y = A^T [U * V] A`` with ``U = G W G^T`` and ``V = B^T X B``, as in the paper; T tiles of P = 36 points."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n, c, height, width = x.shape
        out, rows, columns = len(weight), height // TILE, width // TILE
        padded = x.new_zeros(n, height + 2, width + 2, c)
        padded[:, 1:-1, 1:-1] = x.permute(0, 2, 3, 1)
        v = _B @ _tiles(padded, rows, columns).reshape(-1, TAPS**2, c)  # (T, P, C)
        u = _G @ weight.permute(0, 2, 3, 1).reshape(out, 9, c)  # (out, P, C)
        products = torch.bmm(v.permute(1, 0, 2), u.permute(1, 2, 0))  # (P, T, out)
        y = (_A @ products.permute(1, 0, 2)).view(n, rows, columns, TILE, TILE, out)
        ctx.save_for_backward(v, u)
        result = (y.transpose(2, 3) + bias).reshape(n, height, width, out)
        return result.permute(0, 3, 1, 2)  # channels last in memory

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        v, u = ctx.saved_tensors
        n, out, height, width = grad.shape
        c, rows, columns = v.shape[-1], height // TILE, width // TILE
        tiles = grad.permute(0, 2, 3, 1).reshape(n, rows, TILE, columns, TILE, out).transpose(2, 3)
        grad_y = _A.T @ tiles.reshape(-1, TILE**2, out)  # (T, P, out)
        grad_u = torch.bmm(grad_y.permute(1, 2, 0), v.permute(1, 0, 2))  # (P, out, C)
        grad_weight = (_G.T @ grad_u.permute(1, 0, 2)).view(out, 3, 3, c).permute(0, 3, 1, 2)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_v = torch.bmm(grad_y.permute(1, 0, 2), u.permute(1, 0, 2))  # (P, T, C)
            patches = (_B.T @ grad_v.permute(1, 0, 2)).view(n, rows, columns, TAPS, TAPS, c)
            padded = grad.new_zeros(n, height + 2, width + 2, c)
            into = _tiles(padded, rows, columns)
            for i in (
                slice(TILE),
                slice(TILE, TAPS),
            ):  # neighbours overlap by two: alone, each part has no element twice
                for j in (slice(TILE), slice(TILE, TAPS)):
                    into[:, :, :, i, j] += patches[:, :, :, i, j]
            grad_x = padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
        return grad_x, grad_weight, grad.sum((0, 2, 3))


def _tiles(padded: Tensor, rows: int, columns: int) -> Tensor:
    """Overlapping tiles of ``(N, H + 2, W + 2, C)``, a view ``(N, rows, columns, 6, 6, C)``."""
    n, _, _, c = padded.shape
    batch, row, column, _ = padded.stride()
    shape = (n, rows, columns, TAPS, TAPS, c)
    return padded.as_strided(shape, (batch, TILE * row, TILE * column, row, column, 1))

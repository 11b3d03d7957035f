"""How far several predictions of the same frame lie apart: where they do, at least one of them is wrong."""

from __future__ import annotations

import torch
from torch import Tensor


def disagreement(*predictions: Tensor) -> Tensor:
    """Standard deviation of two or more predictions ``(S, C, H, W)`` in [-1, 1], ``(S,)``: of each pixel's values,
    averaged over all pixels [0..1 of the pixel range]. Of two predictions it is half their mean difference.
    """
    return torch.stack(predictions).std(0, unbiased=False).flatten(1).mean(1) / 2  # the range is 2 wide

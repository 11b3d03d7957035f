"""A frame put together from what is known: each pixel is kept, taken from the dream's first frame, or painted anew.

What a static camera sees behind a moving arm was seen before. A network that has to draw it again, or to take back its
own errors of earlier steps, leaves grain wherever the arm has been, which adds up over a dream; a copy leaves none.
After the temporal skip connections of Ebert et al. 2017 (arXiv 1710.05268), with one mask per pixel and camera.
"""

from __future__ import annotations

import torch
from torch import Tensor

SOURCES = 3
"""Keep the last frame's pixel, take the first frame's, or paint: the order of the masks."""
KEEP = 2.0
"""Added to the logit of keeping: most of a picture does not move."""


def out_channels(image_channels: int) -> int:
    """Of a network whose output `composed` reads, for frames of 3 channels per camera."""
    return image_channels + SOURCES * (image_channels // 3)


def composed(out: Tensor, last: Tensor, first: Tensor) -> Tensor:
    """The change from the last frame ``(B, C, H, W)`` that leads to the frame that `out` composes.

    Args:
        out: ``(B, out_channels(C), H, W)``: a painted frame in [-1, 1], then the logits of the masks of each camera.
        last, first: ``(B, C, H, W)`` in [-1, 1], what is kept and what can be had back.
    """
    paint, logits = out.split([last.shape[1], out.shape[1] - last.shape[1]], dim=1)
    keep, back, new = logits.unflatten(1, (SOURCES, -1)).unbind(1)
    _, back, new = torch.stack([keep + KEEP, back, new], 1).softmax(1).repeat_interleave(3, dim=2).unbind(1)
    return back * (first - last) + new * (paint - last)

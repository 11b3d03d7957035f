"""How far a predicted frame is from the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

MOVED = 0.05
"""A pixel has moved where a channel differs by more than this share of the pixel range: above a camera's noise."""
PSNR_CEILING = 58.9
"""[dB] Equal 8-bit frames have no finite PSNR: this is what rounding to 8 bits alone leaves, 10 log10(12 * 255^2)."""

Errors = dict[str, Tensor]
"""Value per frame ``(N,)`` by measure; NaN where it does not exist."""
FrameMeasure = Callable[[Tensor, Tensor], Tensor]
"""Of predicted and real frames uint8 ``(N, C, H, W)``, the value ``(N,)``."""


@dataclass(frozen=True)
class Measure:
    """What a measure is called, its unit, and whether more of it is better."""

    title: str
    unit: str
    higher_is_better: bool


MEASURES = {
    "psnr": Measure("PSNR", "dB", True),
    "ssim": Measure("SSIM", "", True),
    "moving": Measure("error where pixels moved", "0 to 1 of the pixel range", False),
    "lpips": Measure("LPIPS", "", False),
}


def streams(frames: Tensor) -> Tensor:
    """Frames ``(N, 3 n, H, W)`` as the pictures of their n cameras, ``(N n, 3, H, W)``."""
    return frames.reshape(-1, 3, *frames.shape[-2:])


def moved(one: Tensor, other: Tensor) -> Tensor:
    """Where two frames ``(N, C, H, W)`` uint8 differ: bool ``(N, n, H, W)``, a pixel of a camera at a time."""
    apart = (one.float() - other.float()).abs() / 255
    return apart.unflatten(1, (-1, 3)).amax(2) > MOVED


def moving_error(predicted: Tensor, real: Tensor, last: Tensor) -> Tensor:
    """Mean absolute error over the pixels that really moved since the frame `last`, ``(N,)`` [0..1 of the pixel range];
    NaN where nothing moved."""
    region = moved(real, last).unsqueeze(2)
    apart = ((predicted.float() - real.float()).abs() / 255).unflatten(1, (-1, 3))
    return (apart * region).flatten(1).sum(1) / (3 * region.flatten(1).sum(1))


def frame_errors(predicted: Tensor, real: Tensor, last: Tensor, lpips: FrameMeasure | None = None) -> Errors:
    """Every measure of N frames.

    Args:
        predicted, real, last: uint8 ``(N, C, H, W)``; `last` is the last frame that the prediction was made from.
        lpips: measures perceptual distance, where its weights are at hand.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    ours, true = predicted.float() / 255, real.float() / 255
    psnr = peak_signal_noise_ratio(ours, true, data_range=1.0, reduction="none", dim=(1, 2, 3))
    ssim = structural_similarity_index_measure(ours, true, data_range=1.0, reduction="none")
    assert isinstance(ssim, Tensor)  # of frames alone; it gives a pair where more is asked for
    found = {
        "psnr": psnr.clamp(max=PSNR_CEILING),
        "ssim": ssim,
        "moving": moving_error(predicted, real, last),
    }
    return found if lpips is None else found | {"lpips": lpips(predicted, real)}

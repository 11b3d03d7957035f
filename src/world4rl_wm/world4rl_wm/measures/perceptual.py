"""Trained networks whose features tell pictures and clips apart: AlexNet for LPIPS, Inception for FID, I3D for FVD."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import torch
from torch import Tensor, nn

from world4rl_wm.measures.frame_errors import FrameMeasure, streams
from world4rl_wm.measures.weights import FID, FVD, LPIPS

SMALLEST = 64
"""Smaller frames are enlarged for LPIPS, as torch-fidelity does: AlexNet sees nothing in fewer pixels."""
_DAMAGED = (RuntimeError, OSError, ValueError, KeyError, EOFError, pickle.UnpicklingError)

Features = Callable[[Tensor], Tensor]
"""Of N pictures or clips, a vector each: ``(N, F)``."""


def load_lpips(device: str | torch.device = "cpu") -> FrameMeasure:
    """LPIPS (AlexNet) of predicted and real frames, the mean over cameras.

    Raises:
        NotComputed: torchvision or the weights are missing, or cannot be read.
    """
    LPIPS.require()
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    try:
        network = LearnedPerceptualImagePatchSimilarity("alex").net.to(device)
    except _DAMAGED as error:
        raise LPIPS.unreadable(error) from error

    def prepared(frames: Tensor) -> Tensor:
        pictures = streams(frames).to(device).float() / 255
        small = min(pictures.shape[-2:]) < SMALLEST
        return nn.functional.interpolate(pictures, (SMALLEST, SMALLEST), mode="bilinear") if small else pictures

    @torch.no_grad()
    def measure(predicted: Tensor, real: Tensor) -> Tensor:
        values: Tensor = network(prepared(predicted), prepared(real), normalize=True)
        return values.reshape(len(predicted), -1).mean(1)

    return measure


def load_inception(device: str | torch.device = "cpu") -> Features:
    """InceptionV3's 2048 features of pictures uint8 ``(N, 3, H, W)``, as FID is defined.

    Raises:
        NotComputed: torch-fidelity or the weights are missing, or cannot be read.
    """
    path = FID.require()
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path)).to(device)
    except _DAMAGED as error:
        raise FID.unreadable(error) from error
    return lambda pictures: network(pictures.to(device))


def load_i3d(device: str | torch.device = "cpu") -> Features:
    """I3D's 400 features of clips uint8 ``(N, T, 3, H, W)``, T of 10 or more, by the TorchScript file that FVD is
    usually computed with.

    Raises:
        NotComputed: the weights are missing or cannot be read.
    """
    path = FVD.require()
    try:
        network = torch.jit.load(path, map_location=device).eval()
    except _DAMAGED as error:
        raise FVD.unreadable(error) from error

    def features(clips: Tensor) -> Tensor:
        found: Tensor = network(
            clips.to(device).float().transpose(1, 2), rescale=True, resize=True, return_features=True
        )
        return found

    return features

"""The network F of the diffusion world model: diffusers' U-Net, past as channels, actions by scale-shift."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor, nn

from world4rl_wm.action_encoding import action_encoding

FREQUENCIES = (0.5, 1.0, 2.0, 4.0)
"""Of `fourier_features`, in cycles per 2 pi of a normalised value."""


def fourier_features(values: Tensor) -> Tensor:
    """Sines and cosines of ``(..., P)`` values at `FREQUENCIES`: ``(..., P * 2 * len(FREQUENCIES))``."""
    angles = values.unsqueeze(-1) * values.new_tensor(FREQUENCIES)
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of the denoiser.

    `history` frames of `image_channels` (3 per camera stream) at `image_size` pixels; `stem` is the space-to-depth
    factor in front of the U-Net; `widths` are the U-Net's channels from fine to coarse. With `proprio_dim` above 0 it
    is also told where the arm is and where it will be. Actions come as `encoding` says (`action_encoding.ENCODINGS`),
    with `bins` where it has any.
    """

    image_channels: int
    image_size: int
    action_dim: int
    proprio_dim: int = 0
    history: int = 4
    bins: int = 21
    stem: int = 2
    widths: tuple[int, ...] = (48, 96, 96)
    layers: int = 2
    groups: int = 8
    encoding: str = "two_hot"


class Denoiser(nn.Module):
    """F(c_in x; c_noise, context frames, actions): the raw network that `edm` preconditions."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        self.actions = action_encoding(config.encoding, config.bins)
        per_frame = config.image_channels * config.stem**2
        embedding = 4 * config.widths[0]
        self.action_embedding = nn.Sequential(
            nn.Linear(config.history * self.actions.size(config.action_dim), embedding),
            nn.SiLU(),
            nn.Linear(embedding, embedding),
        )
        if config.proprio_dim:
            self.proprio_embedding = nn.Sequential(
                nn.Linear(2 * config.proprio_dim * 2 * len(FREQUENCIES), embedding),
                nn.SiLU(),
                nn.Linear(embedding, embedding),
            )
        self.unet = UNet2DModel(
            sample_size=config.image_size // config.stem,
            in_channels=per_frame * (config.history + 1),
            out_channels=per_frame,
            block_out_channels=config.widths,
            down_block_types=("DownBlock2D",) * len(config.widths),
            up_block_types=("UpBlock2D",) * len(config.widths),
            layers_per_block=config.layers,
            norm_num_groups=config.groups,
            class_embed_type="identity",
            resnet_time_scale_shift="scale_shift",
            add_attention=False,
        )

    def forward(
        self, x: Tensor, c_noise: Tensor, context: Tensor, actions: Tensor, proprio: Tensor | None = None
    ) -> Tensor:
        """The raw output, ``(B, C, H, W)``.

        Args:
            x: ``(B, C, H, W)``, the noisy frame; c_noise: ``(B,)``.
            context: ``(B, T, C, H, W)``, oldest first; actions: ``(B, T, A)`` in [-1, 1].
            proprio: ``(B, 2, P)``, normalised, now and in the frame to come; needed when the config has it.
        """
        stem = self.config.stem
        frames = torch.cat([x, context.flatten(1, 2)], dim=1)
        frames = F.pixel_unshuffle(frames, stem).contiguous(memory_format=torch.channels_last)
        condition = self.action_embedding(self.actions.encode(actions).flatten(1))
        if proprio is not None:
            condition = condition + self.proprio_embedding(fourier_features(proprio).flatten(1))
        # the positional embedding expects time steps of the order of hundreds, c_noise = ln(sigma) / 4 is of order one
        out = self.unet(frames, c_noise * 1000.0, class_labels=condition).sample
        return F.pixel_shuffle(out, stem)

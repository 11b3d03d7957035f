"""A denoiser of DIAMOND's published shape (arXiv 2405.12399): no space-to-depth stem, four levels of 64 channels, three
steps, and its distribution of noise."""

from __future__ import annotations

from dataclasses import replace

from world4rl_wm.model.world_model import WorldModelConfig


def diamond_shape(config: WorldModelConfig) -> WorldModelConfig:
    """`config` with that denoiser and sampler; frames, actions and history stay."""
    return replace(
        config,
        denoiser=replace(config.denoiser, backbone="unet", stem=1, widths=(64, 64, 64, 64), layers=2),
        edm=replace(config.edm, p_mean=-0.4, p_std=1.2, steps=3, noise_scale=1.0),
    )

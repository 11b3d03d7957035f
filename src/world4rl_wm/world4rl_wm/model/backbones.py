"""What the denoiser is made of: diffusers' U-Net, or its diffusion transformer (DiT, arXiv 2212.09748).

Both are called alike: ``backbone(frames (B, C, H, W), time (B,), class_labels=condition (B, condition_dim)).sample``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch
from diffusers import DiTTransformer2DModel, UNet2DModel
from torch import nn

from world4rl_wm.model.winograd import use_winograd

if TYPE_CHECKING:
    from world4rl_wm.model.denoiser import DenoiserConfig

Backbone = Literal["unet", "dit"]


def condition_dim(config: DenoiserConfig) -> int:
    """Width of the condition that the backbone adds to its embedding of the noise level."""
    return 4 * config.widths[0] if config.backbone == "unet" else config.widths[0]


def make_backbone(config: DenoiserConfig, in_channels: int, out_channels: int) -> nn.Module:
    """The backbone that `config` names, for frames of ``image_size / stem`` pixels.

    Raises:
        ValueError: there is no such backbone, its widths, heads and groups do not go together, or it cannot take frames
            of this size.
    """
    halvings = len(config.widths) - 1 if config.backbone == "unet" else 0
    unit = config.stem * 2**halvings
    if config.image_size % unit:
        raise ValueError(
            f"a {config.backbone} with a stem of {config.stem} and widths {list(config.widths)} takes frames of a "
            f"multiple of {unit} pixels, not {config.image_size}: another contract, or fewer widths or a smaller stem"
        )
    if config.backbone == "unet":
        return _unet(config, in_channels, out_channels)
    if config.backbone == "dit":
        return _dit(config, in_channels, out_channels)
    raise ValueError(f"no backbone '{config.backbone}': use one of {', '.join(get_args(Backbone))}")


class _UNet(UNet2DModel):
    """The library's, whose own `dtype` looks through all modules for it, twice a frame: a tenth of a single dream."""

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_in.weight.dtype


def _unet(config: DenoiserConfig, in_channels: int, out_channels: int) -> UNet2DModel:
    if config.groups < 1 or not config.widths or any(width % config.groups for width in config.widths):
        raise ValueError(f"a unet's widths are multiples of its {config.groups} groups, got {list(config.widths)}")
    unet = _UNet(
        sample_size=config.image_size // config.stem,
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=config.widths,
        down_block_types=("DownBlock2D",) * len(config.widths),
        up_block_types=("UpBlock2D",) * len(config.widths),
        layers_per_block=config.layers,
        norm_num_groups=config.groups,
        class_embed_type="identity",
        resnet_time_scale_shift="scale_shift",
        add_attention=False,
    )
    use_winograd(unet)
    return unet


def _dit(config: DenoiserConfig, in_channels: int, out_channels: int) -> DiTTransformer2DModel:
    """DiT whose blocks are told a vector instead of a class; each block begins as the identity (adaLN-Zero)."""
    if len(config.widths) != 1 or config.widths[0] % config.heads:
        raise ValueError(
            f"a dit has one width, a multiple of its {config.heads} heads, got widths {list(config.widths)}"
        )
    dit = DiTTransformer2DModel(
        num_attention_heads=config.heads,
        attention_head_dim=config.widths[0] // config.heads,
        in_channels=in_channels,
        out_channels=out_channels,
        num_layers=config.layers,
        sample_size=config.image_size // config.stem,
        patch_size=1,  # the stem has cut the patches
        num_embeds_ada_norm=1,
    )
    for block in dit.transformer_blocks:
        block.norm1.emb.class_embedder = nn.Identity()
    for layer in (*(block.norm1.linear for block in dit.transformer_blocks), dit.proj_out_1, dit.proj_out_2):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return dit

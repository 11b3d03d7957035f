"""The network F of the diffusion world model: the past as channels, actions by the backbone's modulation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world4rl_wm.model.action_encoding import Encoding, action_encoding
from world4rl_wm.model.backbones import Backbone, condition_dim, make_backbone
from world4rl_wm.model.composition import out_channels
from world4rl_wm.model.packed import use_packed

FREQUENCIES = (0.5, 1.0, 2.0, 4.0)
"""Of `fourier_features`, in cycles per 2 pi of a normalised value."""


def fourier_features(values: Tensor, frequencies: Tensor) -> Tensor:
    """Sines and cosines of ``(..., P)`` values at F `frequencies`: ``(..., P * 2 * F)``."""
    angles = values.unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of the denoiser.

    `history` frames of `image_channels` (3 per camera stream) at `image_size` pixels; `stem` is the space-to-depth
    factor in front of the backbone (`backbones.Backbone`). A `unet` has `widths` channels from fine to coarse, with
    `layers` blocks and `groups` of normalisation at each; a `dit` has `layers` blocks of one width with `heads`.
    With `proprio_dim` above 0 it is also told where the arm is and where it will be, with `task_dim` above 0 a vector
    that says which task. Where frames are `composed` it is shown the dream's first frame too, and says what to keep,
    what to take from there and what to paint (`composition`). Actions come as `encoding` says
    (`action_encoding.ENCODINGS`), with `bins` where it has any.
    """

    image_channels: int
    image_size: int
    action_dim: int
    proprio_dim: int = 0
    history: int = 4
    bins: int = 21
    stem: int = 4
    widths: tuple[int, ...] = (128, 128)
    layers: int = 1
    groups: int = 8
    encoding: Encoding = "two_hot"
    backbone: Backbone = "unet"
    heads: int = 4
    task_dim: int = 0
    composed: bool = False

    def __post_init__(self) -> None:
        least = 2 if self.proprio_dim else 1  # the state model takes the arm's velocity from two frames
        if self.history < least:
            raise ValueError(
                f"world_model.denoiser.history is {self.history}: give at least {least}"
                + (", for the contract has proprioception" if self.proprio_dim else "")
            )


def space_to_depth(frames: Tensor, size: int) -> Tensor:
    """``F.pixel_unshuffle`` of ``(B, C, H, W)`` in channels-last memory, with one copy where that takes two."""
    if torch.is_autocast_enabled(frames.device.type):
        frames = frames.to(torch.get_autocast_dtype(frames.device.type))  # the first layer would: less to copy before
    b, c, h, w = frames.shape
    patches = frames.reshape(b, c, h // size, size, w // size, size).permute(0, 2, 4, 1, 3, 5)
    packed = patches.reshape(b, h // size, w // size, c * size**2).permute(0, 3, 1, 2)
    return packed.contiguous(memory_format=torch.channels_last)  # it is, where `size` is above 1


class Denoiser(nn.Module):
    """F(c_in x; c_noise, context frames, actions): the raw network that `edm` preconditions."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        self.actions = action_encoding(config.encoding, config.bins)
        shown = config.image_channels * (config.history + 1 + config.composed) * config.stem**2
        said = (out_channels(config.image_channels) if config.composed else config.image_channels) * config.stem**2
        embedding = condition_dim(config)

        def embed(size: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(size, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

        self.action_embedding = embed(config.history * self.actions.size(config.action_dim))
        if config.proprio_dim:
            self.proprio_embedding = embed(2 * config.proprio_dim * 2 * len(FREQUENCIES))
            self.register_buffer("frequencies", torch.tensor(FREQUENCIES), persistent=False)
        # named by its kind: what was trained before there was a choice says `unet`
        self.add_module(config.backbone, make_backbone(config, shown, said))
        if config.task_dim:
            self.task_embedding = nn.Linear(config.task_dim, embedding, bias=False)
        use_packed(self)

    @property
    def backbone(self) -> nn.Module:
        return self.get_submodule(self.config.backbone)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        context: Tensor,
        actions: Tensor,
        proprio: Tensor | None = None,
        task: Tensor | None = None,
        first: Tensor | None = None,
    ) -> Tensor:
        """The raw output, ``(B, C, H, W)``; of a composed frame what `composition.composed` reads.

        Args:
            x: ``(B, C, H, W)``, the noisy frame; c_noise: ``(B,)``.
            context: ``(B, T, C, H, W)``, oldest first; actions: ``(B, T, A)`` in [-1, 1].
            proprio: ``(B, 2, P)``, normalised, now and in the frame to come; needed when the config has it.
            task: ``(B, task_dim)``, which task; None or zeros: not told.
            first: ``(B, C, H, W)``, the dream's first frame; needed for composed frames, and given for no others.
        """
        stem = self.config.stem
        pictures = [x, context.flatten(1, 2)]
        if first is not None:
            pictures.append(first)
        frames = space_to_depth(torch.cat(pictures, dim=1), stem)
        condition = self.action_embedding(self.actions.encode(actions).flatten(1))
        if proprio is not None:
            condition = condition + self.proprio_embedding(fourier_features(proprio, self.frequencies).flatten(1))
        if task is not None:
            condition = condition + self.task_embedding(task)
        # the positional embedding expects time steps of the order of hundreds, c_noise = ln(sigma) / 4 is of order one
        out = self.backbone(frames, c_noise * 1000.0, class_labels=condition).sample
        return F.pixel_shuffle(out, stem)

"""A recurrent state-space model, the world model of Dreamer and DiWA: it dreams in a latent state (torchrl's modules).

``pip install torchrl`` brings it; the project does not need it otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from rivals_parts.budget import SCHEDULE, Budget
from rivals_parts.rival import Trained, parameters
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torchrl.modules import ObsDecoder, ObsEncoder, RSSMPosterior, RSSMPrior

from world4rl_wm.model.frames import FrameWindows, Window, to_float, to_uint8
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.step import WorldModelTraining, learning_rate_factor

KERNELS = {32: [5, 6, 6], 64: [5, 5, 6, 6]}
"""Of the decoder, by the pictures' size [pixels]; its layers are as many as the encoder's."""


@dataclass(frozen=True)
class RssmConfig:
    """Sizes of DreamerV1 and its `free_nats`; learned from whole episodes, `batch_size` at a time."""

    state_dim: int = 30
    belief: int = 200
    hidden: int = 200
    channels: int = 32
    free_nats: float = 3.0
    batch_size: int = 16
    learning_rate: float = 6e-4
    max_grad_norm: float = 100.0


class Rssm(nn.Module):
    """Pictures ``(B, C, H, W)`` in [-1, 1] and proprioception become states; the prior goes on without them."""

    def __init__(self, config: RssmConfig, windows: FrameWindows) -> None:
        super().__init__()
        channels, size = windows.frames.shape[1:3]
        if size not in KERNELS:
            raise ValueError(f"pictures of {size} pixels have no decoder here: use {' or '.join(map(str, KERNELS))}")
        layers, actions = len(KERNELS[size]), windows.actions.shape[1]
        self.config = config
        self.encoder = ObsEncoder(config.channels, layers, in_channels=channels)
        embedding = self.encoder(torch.zeros(1, channels, size, size)).shape[-1] + windows.proprio.shape[1]
        sizes = {"hidden_dim": config.hidden, "rnn_hidden_dim": config.belief, "state_dim": config.state_dim}
        self.prior = RSSMPrior(SimpleNamespace(shape=(actions,)), **sizes, action_dim=actions)
        self.posterior = RSSMPosterior(**sizes, obs_embed_dim=embedding)
        latent = config.state_dim + config.belief
        self.decoder = ObsDecoder(config.channels, layers, KERNELS[size], latent_dim=latent, out_channels=channels)
        self.register_buffer("mean", windows.proprio.mean(0))
        self.register_buffer("std", windows.proprio.std(0).clamp(min=1e-3))

    def embed(self, frames: Tensor, proprio: Tensor) -> Tensor:
        return torch.cat([self.encoder(frames), (proprio - self.mean) / self.std], -1)

    def start(self, rows: int) -> tuple[Tensor, Tensor]:
        """State and belief before anything was seen."""
        return self.mean.new_zeros(rows, self.config.state_dim), self.mean.new_zeros(rows, self.config.belief)

    def loss(self, frames: Tensor, proprio: Tensor, actions: Tensor, inside: Tensor, draws: Draws) -> Tensor:
        """Negative evidence bound per frame of ``(B, L, ...)`` sequences; `actions` led to their frames."""
        embedded = self.embed(frames, proprio)
        state, belief = self.start(len(frames))
        states, beliefs, divergence = [], [], []
        for step in range(frames.shape[1]):
            prior_mean, prior_std, _, belief = self.prior(state, belief, actions[:, step])
            noise = draws.normal(*state.shape)
            mean, std, state = self.posterior(belief, embedded[:, step], noise=noise)
            divergence.append(kl_divergence(Normal(mean, std), Normal(prior_mean, prior_std)).sum(-1))
            states.append(state)
            beliefs.append(belief)
        decoded = self.decoder(torch.stack(states, 1), torch.stack(beliefs, 1))
        seen = 0.5 * ((decoded - frames) / 2).square().flatten(2).sum(-1)  # unit variance at a range of 1, as Dreamer's
        latent = torch.stack(divergence, 1).clamp(min=self.config.free_nats)
        return ((seen + latent) * inside).sum() / inside.sum()


class TrainedRssm:
    """An `Rssm` trained until its budget is spent."""

    def __init__(self, config: RssmConfig, windows: FrameWindows, seconds: float, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = model = Rssm(config, windows)
        optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        schedule = WorldModelTraining(steps=SCHEDULE, warm_up=SCHEDULE // 15)
        first = windows.current[windows.remaining == torch.tensor([i.length for i in windows.infos])[windows.episode]]
        lengths = torch.tensor([info.length for info in windows.infos])
        wall, steps, budget = time.monotonic(), 0, Budget(seconds)
        while not budget.over:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * learning_rate_factor(budget.step, schedule)
            draws = Draws(seed, steps)
            chosen = draws.choose(len(first), config.batch_size)
            loss = model.loss(*_sequences(windows, first[chosen], lengths[chosen]), draws)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            optimizer.step()
            steps += 1
        self.trained = Trained(parameters(model), steps, budget.spent, time.monotonic() - wall)
        model.eval().requires_grad_(False)

    @torch.no_grad()
    def dream(self, seen: Window, actions: Tensor, seed: int, tasks: Sequence[str]) -> Tensor:
        """By the most likely states; the first frames' proprioception is that of the two that are known."""
        model, past = self.model, seen.context.shape[1]
        known = torch.cat([seen.proprio[:, :1].expand(-1, past - 1, -1), seen.proprio[:, -1:]], 1)
        embedded = model.embed(seen.context, known)
        led = torch.cat([torch.zeros_like(seen.actions[:, :1]), seen.actions[:, :-1]], 1)
        state, belief = model.start(len(actions))
        for step in range(past):
            belief = model.prior(state, belief, led[:, step])[3]
            state = model.posterior(belief, embedded[:, step])[0]
        frames = []
        for action in actions.unbind(1):
            state, _, _, belief = model.prior(state, belief, action)
            frames.append(to_uint8(model.decoder(state, belief)))
        return torch.stack(frames, 1)


def _sequences(windows: FrameWindows, first: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whole episodes with what is shown before them: frames, proprioception, the actions that led there, and a mask."""
    steps = torch.arange(1 - windows.history, int(lengths.max()) + 1)
    inside = steps <= lengths.unsqueeze(1)
    rows = first.unsqueeze(1) + torch.minimum(steps, lengths.unsqueeze(1))
    led = windows.actions[rows - 1] * (steps > 1 - windows.history).view(1, -1, 1)
    return to_float(windows.frames[rows]), windows.proprio[rows], led, inside

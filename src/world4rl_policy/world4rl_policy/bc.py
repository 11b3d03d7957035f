"""Behaviour cloning: maximum likelihood of the executed actions. Filtered BC is the same on more, successful, data."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from world4rl_data.store import EpisodeStore
from world4rl_policy.action_likelihood import action_likelihood
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_wm.model.frames import FrameWindows, to_float
from world4rl_wm.training.metrics_log import MetricsLog

BATCH = 256
"""Examples in a batch when all of them are looked at."""


@dataclass(frozen=True)
class BcTraining:
    """Optimisation of behaviour cloning; `shift` is the random shift of the pictures in pixels."""

    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 1e-3
    shift: int = 1


class Examples(Protocol):
    """Something to imitate."""

    def sample(
        self, size: int, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Frames ``(size, history, C, H, W)`` in [-1, 1] and actions ``(size, A)``."""

    def batches(self, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, Tensor]]:
        """All of them, each once, in batches of such frames and actions."""


class Demonstrations:
    """Frames and actions to imitate. Steps after the first success are left out: nothing is left to learn there.

    Raises:
        ValueError: no step is left.
    """

    def __init__(self, store: EpisodeStore, episodes: Sequence[int], history: int):
        self.windows = FrameWindows(store, episodes, history)
        self.rows = self.windows.current
        keep = torch.ones_like(self.rows, dtype=torch.bool)
        start = 0
        for episode in episodes:
            info = store.infos[episode]
            if info.success_index is not None:
                keep[start + info.success_index : start + info.length] = False
            start += info.length
        self.rows = self.rows[keep]
        if not len(self.rows):
            raise ValueError(
                "no step to imitate: every one of these episodes succeeds in its first frame; choose others"
            )

    def showing(self, episodes: Sequence[Tensor]) -> Demonstrations:
        """The same actions with other frames: of each episode uint8 ``(length + 1, C, H, W)``."""
        other = copy.copy(self)
        other.windows = self.windows.showing(episodes)
        return other

    def sample(
        self, size: int, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Frames ``(size, history, C, H, W)`` in [-1, 1] and actions ``(size, A)``; pixels travel as bytes."""
        rows = self.rows[torch.randint(len(self.rows), (size,), generator=generator, device="cpu")]
        return self._at(rows, device)

    def batches(self, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, Tensor]]:
        """All of them, each once, in their order: batches of such frames and actions."""
        return (self._at(rows, device) for rows in self.rows.split(BATCH))

    def _at(self, rows: Tensor, device: torch.device | str) -> tuple[Tensor, Tensor]:
        windows = self.windows
        return to_float(windows.frames[windows.past(rows)].to(device)), windows.actions[rows].to(device)


def random_shift(frames: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each item's frames ``(B, T, C, H, W)`` by up to `pixels`, all its frames alike, edges repeated."""
    if pixels == 0:
        return frames
    batch, size = len(frames), frames.shape[-1]
    padded = F.pad(frames.flatten(1, 2), (pixels,) * 4, mode="replicate")
    offsets = torch.randint(2 * pixels + 1, (batch, 2), generator=generator)
    grid = torch.arange(size)
    rows = (offsets[:, :1] + grid)[:, None, :, None]
    columns = (offsets[:, 1:] + grid)[:, None, None, :]
    item = torch.arange(batch)[:, None, None, None]
    channel = torch.arange(padded.shape[1])[None, :, None, None]
    return padded[item, channel, rows, columns].view_as(frames)


def train_bc(
    examples: Examples,
    policy: GaussianPolicy,
    config: BcTraining = BcTraining(),
    seed: int = 0,
    progress: bool = True,
    description: str = "BC",
    log: MetricsLog | None = None,
) -> GaussianPolicy:
    """Fit `policy` to the examples' actions by negative log-likelihood; returns it in evaluation mode.

    The standard deviation is learned from the network's `initial_std` on, also by a policy that learns further: it
    decides how much each dimension's errors weigh. That goes too slowly to tell how large they are, so at the end it is
    set to what fits all examples best, unshifted; the mean is not touched. `log` gets the loss every 50 steps.
    """
    set_std(policy, torch.full_like(policy.std, policy.config.initial_std))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps, eta_min=config.learning_rate / 20)
    policy.train()
    for step in tqdm(range(1, config.steps + 1), desc=description, disable=not progress, unit="step"):
        frames, actions = examples.sample(config.batch_size, generator)
        frames = random_shift(frames, config.shift, generator)
        loss = -policy.distribution(frames).log_prob(actions).sum(-1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if log is not None and step % 50 == 0:
            log.write(step=step, loss=float(loss.detach()))
    policy.eval()
    set_std(policy, action_likelihood(policy, examples.batches()).std)
    return policy


@torch.no_grad()
def set_std(policy: GaussianPolicy, std: Tensor) -> None:
    """Give the policy the standard deviation `std` ``(A,)`` [action units]."""
    policy.log_std.copy_(std.log())


def train_and_save(
    store: EpisodeStore,
    episodes: Sequence[int],
    out: Path,
    network: PolicyConfig | None = None,
    config: BcTraining = BcTraining(),
    seed: int = 0,
    progress: bool = True,
    description: str = "BC",
    log: MetricsLog | None = None,
) -> Path:
    """Train a fresh policy on `episodes` and write a checkpoint folder."""
    torch.manual_seed(seed)
    contract = store.contract
    sizes = (contract.image_channels, contract.images[0].height, contract.action_dim)
    policy = GaussianPolicy(network or PolicyConfig(*sizes), contract)
    examples = Demonstrations(store, episodes, policy.history)
    train_bc(examples, policy, config, seed, progress, description, log)
    metrics = {"episodes": len(episodes), "training": asdict(config), "std": policy.std.tolist()}
    return policy.save(out, metrics=metrics, seed=seed, data_hashes={"store": store.content_hash})

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
from world4rl_policy.early_stopping import EarlyStopping, draw_held_out
from world4rl_wm.model.frames import FrameWindows, to_float
from world4rl_wm.training.devices import process_device
from world4rl_wm.training.metrics_log import MetricsLog

BATCH = 256
"""Examples in a batch when all of them are looked at."""


@dataclass(frozen=True)
class BcOptimisation:
    """Optimisation of behaviour cloning; `shift` is the random shift of the pictures in pixels."""

    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 1e-3
    shift: int = 1


@dataclass(frozen=True)
class BcTraining(BcOptimisation):
    """Behaviour cloning with early stopping.

    A share `held_out` of the episodes, at least one of them, is set aside (0: none, and no early stopping). Every
    `evaluate_every` steps the policy is measured on them; after `patience` times without a better likelihood training
    stops. The learning rate's schedule is that of all `steps`.
    """

    held_out: float = 0.0
    evaluate_every: int = 100
    patience: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.held_out <= 0.5:
            raise ValueError(f"held_out, the share of the episodes to set aside, must be 0 to 0.5, got {self.held_out}")
        if self.evaluate_every < 1 or self.patience < 1:
            raise ValueError(
                f"evaluate_every and patience must be 1 or more, got {self.evaluate_every} and {self.patience}"
            )


class Examples(Protocol):
    """Something to imitate."""

    def sample(self, size: int, generator: torch.Generator, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
        """Frames ``(size, history, C, H, W)`` in [-1, 1] and actions ``(size, A)``; then, for a policy that is told,
        the numbers of their tasks ``(size,)``."""

    def batches(self, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, ...]]:
        """All of them, each once, in batches of such columns."""


class Demonstrations:
    """Frames and actions to imitate. Steps after the first success are left out: nothing is left to learn there.

    With the names of `tasks`, as a policy's config has them, examples say theirs, and each task that there is comes as
    often as any other.

    Raises:
        ValueError: no step is left.
    """

    def __init__(self, store: EpisodeStore, episodes: Sequence[int], history: int, tasks: Sequence[str] = ()):
        self.windows = FrameWindows(store, episodes, history, tasks)
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
        self._weight = None
        if self.windows.task is not None:
            task = self.windows.task[self.rows]
            self._weight = 1 / task.bincount()[task]

    def showing(self, episodes: Sequence[Tensor]) -> Demonstrations:
        """The same actions with other frames: of each episode uint8 ``(length + 1, C, H, W)``."""
        other = copy.copy(self)
        other.windows = self.windows.showing(episodes)
        return other

    def sample(self, size: int, generator: torch.Generator, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
        """As `Examples`; pixels travel as bytes."""
        if self._weight is None:
            drawn = torch.randint(len(self.rows), (size,), generator=generator, device="cpu")
        else:
            drawn = torch.multinomial(self._weight, size, replacement=True, generator=generator)
        return self._at(self.rows[drawn], device)

    def batches(self, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, ...]]:
        """All of them, each once, in their order: batches as of `sample`."""
        return (self._at(rows, device) for rows in self.rows.split(BATCH))

    def _at(self, rows: Tensor, device: torch.device | str) -> tuple[Tensor, ...]:
        windows = self.windows
        pair = to_float(windows.frames[windows.past(rows)].to(device)), windows.actions[rows].to(device)
        return pair if windows.task is None else (*pair, windows.task[rows].to(device))


def random_shift(frames: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each item's frames ``(B, T, C, H, W)`` by up to `pixels`, all its frames alike, edges repeated."""
    if pixels == 0:
        return frames
    batch, size = len(frames), frames.shape[-1]
    padded = F.pad(frames.flatten(1, 2), (pixels,) * 4, mode="replicate")
    offsets = torch.randint(2 * pixels + 1, (batch, 2), generator=generator, device="cpu").to(frames.device)
    grid = torch.arange(size, device=frames.device)
    rows = (offsets[:, :1] + grid)[:, None, :, None]
    columns = (offsets[:, 1:] + grid)[:, None, None, :]
    item = torch.arange(batch, device=frames.device)[:, None, None, None]
    channel = torch.arange(padded.shape[1], device=frames.device)[None, :, None, None]
    return padded[item, channel, rows, columns].view_as(frames)


def train_bc(
    examples: Examples,
    policy: GaussianPolicy,
    config: BcOptimisation = BcOptimisation(),
    seed: int = 0,
    progress: bool = True,
    description: str = "BC",
    log: MetricsLog | None = None,
    stopping: EarlyStopping | None = None,
) -> GaussianPolicy:
    """Fit `policy`, on the device that it is on, to the examples' actions by negative log-likelihood; returns it in
    evaluation mode. What is drawn does not depend on the device.

    The standard deviation is learned from the network's `initial_std` on, also by a policy that learns further: it
    decides how much each dimension's errors weigh. That goes too slowly to tell how large they are, so at the end it is
    set to what fits all examples best, unshifted; the mean is not touched. `log` gets the loss every 50 steps.

    With `stopping` the weights that are best on what is held out come out, with the standard deviation that fits there;
    `log` gets its likelihood too.
    """
    set_std(policy, torch.full_like(policy.std, policy.config.initial_std))
    device, generator = policy.std.device, torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps, eta_min=config.learning_rate / 20)
    policy.train()
    for step in tqdm(range(1, config.steps + 1), desc=description, disable=not progress, unit="step"):
        frames, actions, *tasks = examples.sample(config.batch_size, generator, device)
        frames = random_shift(frames, config.shift, generator)
        loss = -policy.distribution(frames, None, *tasks).log_prob(actions).sum(-1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        found = stopping.look(policy, step, last=step == config.steps) if stopping is not None else {}
        if log is not None and (found or step % 50 == 0):
            log.write(step=step, loss=float(loss.detach()), **found)
        if stopping is not None and stopping.over:
            break
    policy.eval()
    if stopping is not None:
        stopping.restore(policy)
        examples = stopping.held_out
    set_std(policy, action_likelihood(policy, examples.batches(device)).std)
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
    """Train a fresh policy on `episodes`, on a GPU where there is one, and write a checkpoint folder.

    Raises:
        ValueError: too few episodes to set some aside.
    """
    torch.manual_seed(seed)
    contract = store.contract
    sizes = (contract.image_channels, contract.images[0].height, contract.action_dim)
    policy = GaussianPolicy(network or PolicyConfig(*sizes), contract).to(process_device())
    learned, aside = draw_held_out(episodes, config.held_out, seed)
    stopping = None
    if aside:
        held_out = Demonstrations(store, aside, policy.history, policy.config.tasks)
        stopping = EarlyStopping(held_out, config.evaluate_every, config.patience)
    examples = Demonstrations(store, learned, policy.history, policy.config.tasks)
    train_bc(examples, policy, config, seed, progress, description, log, stopping)
    metrics = {"episodes": len(episodes), "episodes_set_aside": len(aside), "training": asdict(config)}
    metrics |= {"std": policy.std.tolist()} | (stopping.metrics() if stopping else {})
    return policy.save(out, metrics=metrics, seed=seed, data_hashes={"store": store.content_hash})

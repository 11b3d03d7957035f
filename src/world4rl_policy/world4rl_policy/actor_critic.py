"""Gaussian policy pi and value function V, both from images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from world4rl_data.contract import TaskContract
from world4rl_policy.task_modulation import TaskModulation
from world4rl_wm.checkpoint import load_checkpoint, save_checkpoint

KIND = "policy"
PATCH = 4


@dataclass(frozen=True)
class PolicyConfig:
    """`history` frames of `image_channels`; the standard deviation stays below `max_std` (the paper's e^0 at most).

    `tasks` names those that the policy is told apart by; empty: it is told nothing.
    """

    image_channels: int
    image_size: int
    action_dim: int
    history: int = 2
    width: int = 48
    hidden: int = 256
    initial_std: float = 0.3
    min_std: float = 0.02
    max_std: float = 1.0
    tasks: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PolicyConfig:
        """As a checkpoint holds it: those of before there were tasks have none."""
        return cls(**values | {"tasks": tuple(values.get("tasks", ()))})


def as_patches(frames: Tensor) -> Tensor:
    """Frames ``(B, T, C, H, W)`` as patches of 4 x 4 pixels, row by row: ``(B, H / 4 * W / 4, T * C * 16)``.

    Policy and value function read both, with one result but for rounding. Cutting takes as long as learning from it.
    """
    return F.pixel_unshuffle(frames.flatten(1, 2), PATCH).flatten(2).transpose(1, 2).contiguous()


class Patches(nn.Conv2d):
    """Maps each patch of 4 x 4 pixels linearly: of pictures ``(B, C, H, W)``, or those of `as_patches`."""

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() == 4:
            return super().forward(input)
        side = math.isqrt(input.shape[1])
        return F.linear(input, self.weight.flatten(1), self.bias).transpose(1, 2).unflatten(2, (side, side))


def image_encoder(config: PolicyConfig) -> nn.Sequential:
    """Patches, a strided convolution and a linear layer: ``(B, history * C, H, W)`` to ``(B, hidden)``.

    Against three strided convolutions it clones as well at a quarter of the time (`width` 48, 2 cores).
    """
    w, cells = config.width, (config.image_size // 8) ** 2
    return nn.Sequential(
        Patches(config.history * config.image_channels, w, PATCH, stride=PATCH),
        nn.ReLU(),
        nn.Conv2d(w, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * cells, config.hidden),
        nn.LayerNorm(config.hidden),
        nn.ReLU(),
    )


def _pictures(frames: Tensor) -> Tensor:
    """History on channels, ``(B, T * C, H, W)``; patches stay as they are."""
    return frames.flatten(1, 2) if frames.dim() == 5 else frames


def _modulation(config: PolicyConfig) -> TaskModulation | None:
    return TaskModulation(config.tasks, config.hidden) if config.tasks else None


def in_full(head: nn.Linear, features: Tensor) -> Tensor:
    """The head's output in float32, also within autocast: what is said is compared and summed up."""
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())


class GaussianPolicy(nn.Module):
    """``pi(a | x) = N(mu(x), diag(std)^2)`` with mu in [-1, 1] and a state-independent standard deviation.

    Where the config names tasks, mu hangs on the task too: then `tasks`, numbers ``(B,)`` from `task_numbers`, must be
    given with the frames.
    """

    def __init__(self, config: PolicyConfig, contract: TaskContract):
        super().__init__()
        self.config = config
        self.contract = contract
        self.encoder = image_encoder(config)
        self.mean = nn.Linear(config.hidden, config.action_dim)
        nn.init.orthogonal_(self.mean.weight, 0.01)
        nn.init.zeros_(self.mean.bias)
        self.log_std = nn.Parameter(torch.full((config.action_dim,), config.initial_std).log())
        self.modulation = _modulation(config)

    @property
    def history(self) -> int:
        return self.config.history

    @property
    def std(self) -> Tensor:
        """``(A,)`` standard deviation within the configured bounds."""
        return self.log_std.exp().clamp(self.config.min_std, self.config.max_std)

    def task_numbers(self, tasks: Sequence[str] | None) -> Tensor | None:
        """What it is told of B tasks by name, ``(B,)``; None where that is nothing. TaskError: one not learned."""
        return None if self.modulation is None else self.modulation.numbers(tasks)

    def for_task(self, task: str) -> GaussianPolicy | OneTaskPolicy:
        """A policy for this task alone: itself where it is not told tasks. TaskError: it has not learned the task."""
        return OneTaskPolicy(self, task) if self.config.tasks else self

    def distribution(self, frames: Tensor, std: Tensor | None = None, tasks: Tensor | None = None) -> Normal:
        """Action distribution for frames ``(B, history, C, H, W)`` in [-1, 1], or for their patches.

        `std` overrides the policy's own.
        """
        mu = self._mu(frames, tasks)
        return Normal(mu, (self.std if std is None else std).expand_as(mu))

    def _mu(self, frames: Tensor, tasks: Tensor | None) -> Tensor:
        features = self.encoder(_pictures(frames))
        if self.modulation is not None:
            features = self.modulation(features, tasks)
        return torch.tanh(in_full(self.mean, features))

    def patches(self, frames: Tensor) -> Tensor:
        """`as_patches`, where this policy's encoder begins with them; else the frames."""
        return as_patches(frames) if isinstance(self.encoder[0], Patches) else frames

    @torch.no_grad()
    def act(self, frames: Tensor, deterministic: bool = True, tasks: Tensor | None = None) -> Tensor:
        """``(B, A)`` actions in [-1, 1]."""
        # the mean alone where it is enough: making a distribution checks its numbers, which counts on an arm
        action = self._mu(frames, tasks) if deterministic else self.distribution(frames, None, tasks).sample()
        return action.clamp(-1, 1)

    def save(self, path: Path | str, **meta: Any) -> Path:
        """Write a checkpoint folder; `meta` goes to `save_checkpoint`."""
        return save_checkpoint(path, KIND, self.state_dict(), asdict(self.config), self.contract, **meta)

    @classmethod
    def load(
        cls, path: Path | str, device: str | torch.device = "cpu", contract: TaskContract | None = None
    ) -> GaussianPolicy:
        """Read a checkpoint folder in evaluation mode.

        Raises:
            CheckpointError, ContractMismatch: as `load_checkpoint`.
        """
        checkpoint = load_checkpoint(path, KIND, contract)
        return checkpoint.into(lambda config, own: cls(PolicyConfig.from_dict(config), own), device)


class OneTaskPolicy:
    """A policy for several tasks that was told once and for all which: acts as any `world4rl_wm.protocols.Policy`."""

    def __init__(self, policy: GaussianPolicy, task: str):
        self._policy, self._task = policy, policy.task_numbers([task])
        self.contract, self.history = policy.contract, policy.history

    @property
    def std(self) -> Tensor:
        """``(A,)``, as the policy's."""
        return self._policy.std

    def parameters(self) -> Iterator[nn.Parameter]:
        """The policy's: they say where it computes."""
        return self._policy.parameters()

    def act(self, frames: Tensor, deterministic: bool = True) -> Tensor:
        """``(B, A)`` actions in [-1, 1] for frames ``(B, history, C, H, W)`` in [-1, 1]."""
        assert self._task is not None
        return self._policy.act(frames, deterministic, self._task.expand(len(frames)))


class ValueFunction(nn.Module):
    """``V(x)``: expected discounted success, from its own image encoder; told the task where the policy is."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.encoder = image_encoder(config)
        self.head = nn.Linear(config.hidden, 1)
        nn.init.zeros_(self.head.bias)
        self.modulation = _modulation(config)

    def forward(self, frames: Tensor, tasks: Tensor | None = None) -> Tensor:
        """``(B,)`` values for frames ``(B, history, C, H, W)``, or for their patches."""
        features = self.encoder(_pictures(frames))
        if self.modulation is not None:
            features = self.modulation(features, tasks)
        return in_full(self.head, features).squeeze(-1)

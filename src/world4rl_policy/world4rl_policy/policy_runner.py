"""A policy at work: remembers the frames it needs, keeps the time it takes, and never lets a bad number out."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from world4rl_data.observation import Observation
from world4rl_wm.frames import to_float
from world4rl_wm.protocols import Policy


class PolicyFailure(RuntimeError):
    """The policy did not give a usable action; the message says why."""


@dataclass(frozen=True)
class RunnerConfig:
    """How a policy is run.

    `deterministic`: the mean action instead of a sample. Frames further apart than `max_gap_periods` control periods
    are not one motion: the memory then starts anew. Statistics cover the last `window` actions.
    """

    deterministic: bool = True
    max_gap_periods: float = 3.0
    window: int = 30


class PolicyRunner:
    """Turns one observation per control period into one action."""

    def __init__(self, policy: Policy, config: RunnerConfig = RunnerConfig()):
        self.policy = policy
        self.config = config
        self._frames: deque[torch.Tensor] = deque(maxlen=policy.history)
        self._stamps: deque[int] = deque(maxlen=config.window)
        self._latencies: deque[float] = deque(maxlen=config.window)

    def warm_up(self) -> None:
        """Act once on black frames, so that the first real action comes as fast as the others."""
        image = self.policy.contract.images[0]
        shape = (1, self.policy.history, self.policy.contract.image_channels, image.height, image.width)
        self.policy.act(-torch.ones(shape, device=self._device), deterministic=True)

    def reset(self) -> None:
        """A new episode begins: its first frame will be repeated."""
        self._frames.clear()
        self._stamps.clear()

    def act(self, observation: Observation, arrived_s: float | None = None) -> np.ndarray:
        """The action for an observation, float32 ``(A,)`` in [-1, 1].

        Args:
            observation: the present, one control period after the last one.
            arrived_s: `time.monotonic()` when its last message came, where latency begins; None: now.

        Raises:
            PolicyFailure: the policy raised an error, or its action has the wrong shape or is not finite.
        """
        arrived_s = time.monotonic() if arrived_s is None else arrived_s
        self._remember(observation)
        frames = torch.stack(tuple(self._frames)).unsqueeze(0)
        try:
            action = self.policy.act(to_float(frames.to(self._device)), self.config.deterministic)[0].cpu().numpy()
        except Exception as error:
            raise PolicyFailure(f"the policy failed ({type(error).__name__}: {error})") from error
        if action.shape != (self.policy.contract.action_dim,) or not np.isfinite(action).all():
            needed = self.policy.contract.action_dim
            raise PolicyFailure(f"the policy gave {action}, but {needed} finite numbers are needed")
        self._stamps.append(observation.stamp_ns)
        self._latencies.append(1e3 * (time.monotonic() - arrived_s))
        return action.astype(np.float32).clip(-1, 1)

    def _remember(self, observation: Observation) -> None:
        if self._stamps:
            gap = observation.stamp_ns - self._stamps[-1]
            if not 0 <= gap <= self.config.max_gap_periods * self.policy.contract.period_s * 1e9:
                self.reset()
        frame = torch.from_numpy(observation.frame)
        missing = self.policy.history - len(self._frames)
        self._frames.extend([frame] * max(1, missing))

    @property
    def _device(self) -> torch.device:
        parameters = getattr(self.policy, "parameters", None)  # a torch module says where it lives
        return next(parameters()).device if callable(parameters) else torch.device("cpu")

    # -- statistics ----------------------------------------------------------------------------------------------

    @property
    def rate_hz(self) -> float:
        """Actions per second of the node's clock since the episode began or over the window; 0 for fewer than two."""
        if len(self._stamps) < 2:
            return 0.0
        return (len(self._stamps) - 1) * 1e9 / max(1, self._stamps[-1] - self._stamps[0])

    @property
    def latency_ms(self) -> float:
        """Mean time from an observation's arrival to its action [ms]; 0 before the first."""
        return sum(self._latencies) / len(self._latencies) if self._latencies else 0.0

    @property
    def uncertainty(self) -> float:
        """Mean standard deviation of the policy's actions [action units]; NaN where it does not tell."""
        std = getattr(self.policy, "std", None)
        return float(std.detach().mean()) if isinstance(std, torch.Tensor) else math.nan

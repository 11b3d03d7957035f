"""Runs one policy: remembers the frames that it looks at, and never lets a bad number out."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from world4rl_data.observation import Observation
from world4rl_wm.model.frames import to_float
from world4rl_wm.protocols import Policy


class PolicyFailure(RuntimeError):
    """The policy did not give a usable action; the message says why."""


@dataclass(frozen=True)
class RunnerConfig:
    """How a policy is run.

    `deterministic`: the mean action instead of a sample. Frames further apart than `max_gap_periods` control periods
    are not one motion: the memory then starts anew. `task` is for a policy that has learned several: which one; empty:
    the one that has the contract's name.
    """

    deterministic: bool = True
    max_gap_periods: float = 3.0
    task: str = ""


class PolicyRunner:
    """Turns one observation per control period into one action: `remember`, then `infer`.

    `infer` takes the policy's time and may run while another thread calls the rest.

    Attributes:
        name: what its actions carry as `policy_id`.
        uncertainty: mean standard deviation of its actions [action units]; NaN where the policy does not tell.
    """

    def __init__(self, policy: Policy, config: RunnerConfig = RunnerConfig(), name: str = ""):
        self.policy = policy
        self.config = config
        self.name = name
        std = getattr(policy, "std", None)
        self.uncertainty = float(std.detach().mean()) if isinstance(std, torch.Tensor) else math.nan
        parameters = getattr(policy, "parameters", None)  # a torch module says where it lives
        self._device = next(parameters()).device if callable(parameters) else torch.device("cpu")
        self._frames: deque[torch.Tensor] = deque(maxlen=policy.history)
        self._stamp_ns: int | None = None

    def warm_up(self) -> None:
        """Act once on black frames, so that the first real action comes as fast as the others.

        Raises:
            PolicyFailure: as `infer`.
        """
        image = self.policy.contract.images[0]
        shape = (1, self.policy.history, self.policy.contract.image_channels, image.height, image.width)
        self.infer(torch.zeros(shape, dtype=torch.uint8))

    def reset(self) -> None:
        """A new episode begins: its first frame will be repeated."""
        self._frames.clear()
        self._stamp_ns = None

    def remember(self, observation: Observation) -> torch.Tensor:
        """The frames to look at, uint8 ``(1, history, C, H, W)``, the observation's being the newest."""
        if self._stamp_ns is not None:
            gap = observation.stamp_ns - self._stamp_ns
            if not 0 <= gap <= self.config.max_gap_periods * self.policy.contract.period_s * 1e9:
                self.reset()
        self._stamp_ns = observation.stamp_ns
        missing = self.policy.history - len(self._frames)
        self._frames.extend([torch.from_numpy(observation.frame)] * max(1, missing))
        return torch.stack(tuple(self._frames)).unsqueeze(0)

    def infer(self, frames: torch.Tensor) -> np.ndarray:
        """The action for frames that `remember` gave, float32 ``(A,)`` in [-1, 1].

        Raises:
            PolicyFailure: the policy raised an error, or its action has the wrong shape or is not finite.
        """
        try:
            action = self.policy.act(to_float(frames.to(self._device)), self.config.deterministic)[0].cpu().numpy()
        except Exception as error:
            raise PolicyFailure(f"the policy failed ({type(error).__name__}: {error})") from error
        needed = self.policy.contract.action_dim
        if action.shape != (needed,) or not np.isfinite(action).all():
            raise PolicyFailure(f"the policy gave {action}, but {needed} finite numbers are needed")
        return action.astype(np.float32).clip(-1, 1)

"""Random exploration: smooth actions that wander through the workspace, with a jolt now and then. No ROS in here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from world4rl_data.contract import TaskContract


@dataclass(frozen=True)
class ExplorerConfig:
    """Shape of the random actions; independent of the control rate."""

    correlation_s: float = 0.5  # how long the wandering remembers its direction
    amplitude: float = 0.7  # standard deviation before the clamp to [-1, 1]
    jolt_probability: float = 0.1  # part of the actions that are drawn afresh, uniformly
    gripper_hold_s: float = 1.5  # mean time between changes of the gripper


class RandomExplorer:
    """A stream of actions: a stationary Ornstein-Uhlenbeck process per dimension, clamped to [-1, 1]."""

    def __init__(
        self,
        contract: TaskContract,
        seed: int | tuple[int, ...] | None = None,
        config: ExplorerConfig | None = None,
    ) -> None:
        self.config = config or ExplorerConfig()
        self._rng = np.random.default_rng(seed)
        self._gripper = [index for index, dim in enumerate(contract.actions) if dim.name == "gripper"]
        self._size = len(contract.actions)
        self._keep = math.exp(-contract.period_s / self.config.correlation_s)
        self._switch = min(1.0, contract.period_s / self.config.gripper_hold_s)
        self.reset()

    def reset(self) -> None:
        """Forget the present direction; the random numbers go on where they are."""
        self._wander = self._rng.normal(size=self._size)
        self._hand = float(self._rng.choice((-1.0, 1.0)))

    def act(self) -> np.ndarray:
        """The next action, float32 (A,) in [-1, 1]; the gripper's value is -1 or +1."""
        fresh = self._rng.normal(size=self._size)
        self._wander = self._keep * self._wander + math.sqrt(1.0 - self._keep**2) * fresh
        action = self.config.amplitude * self._wander
        if self._rng.random() < self.config.jolt_probability:
            action = self._rng.uniform(-1.0, 1.0, self._size)
        if self._rng.random() < self._switch:
            self._hand = -self._hand
        action[self._gripper] = self._hand
        return np.clip(action, -1.0, 1.0).astype(np.float32)

"""What a simulated environment must offer so that episodes can be collected and policies evaluated in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from world4rl_data.contract import TaskContract


class TaskEnv(Protocol):
    """One task in a simulator, under a task contract.

    Observation: {"images": {stream: uint8 (H, W, 3) RGB}, "proprio": float32 (P,)}. Action: float32 (A,) in [-1, 1].
    """

    @property
    def contract(self) -> TaskContract: ...

    @property
    def horizon(self) -> int:
        """Control periods in an episode."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode: the same seed, the same start state. Returns observation and info."""

    def step(self, action: np.ndarray, source: int = ...) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Advance one control period: observation, reward (1 while the task is done), terminated, truncated, info.

        info: "executed" float32 (A,) (what is learned from), "success", "success_index".
        """

    def expert(self, noise: float, rng: np.random.Generator) -> Callable[[], np.ndarray]:
        """A scripted expert for the episode that begins with the next reset; each call gives the next action.

        `noise` is the standard deviation added to its actions [action units].
        """

    def close(self) -> None:
        """Free the renderer."""

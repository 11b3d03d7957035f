"""The six directions of a hand: names, dead zone, and what every device's map looks like. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

DIRECTIONS = ("dx", "dy", "dz", "rx", "ry", "rz")  # as in the contract: base frame, x ahead, y to the left, z up


class TeleopMap(Protocol):
    """From what a device says to where a person wants the arm to go. Its `see...` methods take what the device said."""

    problem: str  # why the device cannot be used as it is; empty when it can

    def wish(self, now_s: float) -> np.ndarray | None:
        """float64 (6,) in [-1, 1] in the order of DIRECTIONS; None while the dead-man is not held."""


def with_dead_zone(values: ArrayLike, zone: float) -> np.ndarray:
    """Values within +-zone become 0; beyond it they grow from 0, without a jump, to +-1. Result float64 in [-1, 1].

    Raises ValueError when a value is not finite.
    """
    raw = np.asarray(values, dtype=np.float64)
    if not np.isfinite(raw).all():
        raise ValueError("the device sent a value that is not a finite number")
    return np.sign(raw) * np.clip((np.abs(raw) - zone) / (1.0 - zone), 0.0, 1.0)


def pick(values: Sequence[float], index: int) -> float:
    """The value at an index; 0 where the device has none there (or the index is -1)."""
    return float(values[index]) if 0 <= index < len(values) else 0.0

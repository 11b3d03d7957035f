"""From a hand's wish to the contract's action: directions, speeds, and the gripper's toggle. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from world4rl_control.teleop_axes import DIRECTIONS
from world4rl_data.contract import TaskContract


@dataclass(frozen=True)
class TeleopSpeed:
    """How far full deflection goes, as part of the contract's scale (1 is the most that the contract allows)."""

    translation: float = 0.5
    rotation: float = 0.5
    inverted: tuple[str, ...] = ()  # directions that go the other way, e.g. for an operator who faces the robot

    def factors(self) -> np.ndarray:
        """float64 (6,) in the order of DIRECTIONS. Raises ValueError for a direction that does not exist."""
        unknown = sorted(set(self.inverted) - set(DIRECTIONS))
        if unknown:
            raise ValueError(f"inverted names {unknown}: use some of {list(DIRECTIONS)}")
        speeds = np.repeat((self.translation, self.rotation), 3)
        return speeds * [-1.0 if name in self.inverted else 1.0 for name in DIRECTIONS]


class TeleopAction:
    """Makes action values; remembers the gripper.

    The gripper's value is absolute. Until it is known (from an executed action, or a toggle) it is 0, which by the
    contract's hysteresis changes nothing: whoever takes over does not drop what the hand holds.
    """

    def __init__(self, contract: TaskContract, speed: TeleopSpeed = TeleopSpeed()) -> None:
        self._names = contract.action_names
        self._gripper = self._names.index("gripper") if "gripper" in self._names else None
        self._hysteresis = contract.gripper.hysteresis
        self._factors = speed.factors()
        self._hand = 0.0

    def values(self, wish: ArrayLike) -> np.ndarray:
        """The action float32 (A,) in [-1, 1] for a wish (6,) in [-1, 1]; what the contract leaves out is lost."""
        scaled = dict(zip(DIRECTIONS, np.clip(np.asarray(wish, np.float64) * self._factors, -1.0, 1.0)))
        return np.array([scaled.get(name, self._hand) for name in self._names], np.float32)

    def toggle(self) -> str:
        """Open what is closed and close everything else; returns what was done, for a log."""
        if self._gripper is None:
            return "the contract has no gripper action"
        self._hand = 1.0 if self._hand < 0.0 else -1.0
        return "gripper opens" if self._hand > 0.0 else "gripper closes"

    @property
    def hand_known(self) -> bool:
        """Whether the gripper's state is."""
        return self._hand != 0.0

    def forget(self) -> None:
        """The hand may have been moved by others (homing, Desk): its state is not known any more."""
        self._hand = 0.0

    def see_executed(self, values: Sequence[float]) -> None:
        """Learn the gripper's state from an action that the gate executed, whoever asked for it."""
        if self._gripper is None or len(values) != len(self._names):
            return
        value = float(values[self._gripper])
        if abs(value) > self._hysteresis:
            self._hand = 1.0 if value > 0.0 else -1.0

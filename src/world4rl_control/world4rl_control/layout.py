"""Where each meaning sits in an action: from values in [-1, 1] to metres, radians and a gripper wish, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from world4rl_data.contract import TaskContract

_LINEAR, _ANGULAR = ("dx", "dy", "dz"), ("rx", "ry", "rz")


class ActionLayout:
    """The contract's action dimensions. `metres` and `radians` are the scales per base axis, 0 for a dropped one."""

    def __init__(self, contract: TaskContract) -> None:
        names = [dim.name for dim in contract.actions]
        unknown = set(names) - {*_LINEAR, *_ANGULAR, "gripper"}
        if unknown:
            raise ValueError(f"contract {contract.name}: the gate knows no action {sorted(unknown)}")
        scales = {dim.name: float(dim.scale) for dim in contract.actions}
        self.size = len(names)
        self.metres = np.array([scales.get(name, 0.0) for name in _LINEAR])
        self.radians = np.array([scales.get(name, 0.0) for name in _ANGULAR])
        self.turns = bool(self.radians.any())
        self._linear = [(axis, names.index(name)) for axis, name in enumerate(_LINEAR) if name in names]
        self._angular = [(axis, names.index(name)) for axis, name in enumerate(_ANGULAR) if name in names]
        self._gripper = names.index("gripper") if "gripper" in names else None

    def parse(self, values: ArrayLike) -> np.ndarray:
        """The action as float64 (A,), clamped to [-1, 1]. Raises ValueError: wrong length, or not finite."""
        try:
            action = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError("action is not a list of numbers") from error
        if action.shape != (self.size,):
            raise ValueError(f"action has shape {action.shape}, the contract's is ({self.size},)")
        if not np.isfinite(action).all():
            raise ValueError("action is not finite")
        return np.minimum(np.maximum(action, -1.0), 1.0)

    def translation(self, action: np.ndarray) -> np.ndarray:
        """Wished move (3,) [m]."""
        return self._pick(action, self._linear) * self.metres

    def rotation(self, action: np.ndarray) -> np.ndarray:
        """Wished turn (3,) [rad, axis-angle in the base frame]."""
        return self._pick(action, self._angular) * self.radians

    def gripper(self, action: np.ndarray) -> float | None:
        """Wished gripper state in [-1, 1]; None when the contract has no gripper action."""
        return None if self._gripper is None else float(action[self._gripper])

    def express(self, move: np.ndarray, turn: np.ndarray, gripper: float) -> np.ndarray:
        """The action float32 (A,) in [-1, 1] that stands for a move [m], a turn [rad] and a gripper state."""
        action = np.zeros(self.size, np.float32)
        for axis, index in self._linear:
            action[index] = move[axis] / self.metres[axis]
        for axis, index in self._angular:
            action[index] = turn[axis] / self.radians[axis]
        if self._gripper is not None:
            action[self._gripper] = gripper
        return np.minimum(np.maximum(action, np.float32(-1.0)), np.float32(1.0))

    @staticmethod
    def _pick(action: np.ndarray, places: list[tuple[int, int]]) -> np.ndarray:
        picked = np.zeros(3)
        for axis, index in places:
            picked[axis] = action[index]
        return picked

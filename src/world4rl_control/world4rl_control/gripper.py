"""The gripper's switch: from a wish in [-1, 1] to "open" and "close", with hysteresis."""

from __future__ import annotations

from typing import Literal

from world4rl_data.contract import Gripper

GripperCommand = Literal["open", "close"]


class GripperSwitch:
    """Remembers what the gripper was last told, so that a command goes out only when it changes.

    A wish above +hysteresis opens, below -hysteresis closes, between them nothing changes. A gripper that the contract
    holds `fixed` is told so once and ignores wishes.
    """

    def __init__(self, gripper: Gripper) -> None:
        self._gripper = gripper
        self.state: GripperCommand | None = None

    def start(self, width_m: float | None) -> None:
        """Begin from a measured opening [m]; None when it is not known (then the first command always goes out)."""
        if width_m is None:
            self.state = None
        else:
            self.state = "open" if width_m > 0.5 * self._gripper.open_width_m else "close"

    def wish(self, value: float | None) -> GripperCommand | None:
        """The command to send for a wish in [-1, 1] (None: the contract has no gripper action), None for no change."""
        wanted = self._wanted(value)
        if wanted is None or wanted == self.state:
            return None
        self.state = wanted
        return wanted

    def _wanted(self, value: float | None) -> GripperCommand | None:
        if self._gripper.fixed is not None:
            return "open" if self._gripper.fixed == "open" else "close"  # the contract says "closed"
        if value is None or abs(value) <= self._gripper.hysteresis:
            return None
        return "open" if value > 0.0 else "close"

    @property
    def executed(self) -> float:
        """The action value that stands for the present state: +1 open, -1 closed, 0 not known."""
        return {"open": 1.0, "close": -1.0, None: 0.0}[self.state]

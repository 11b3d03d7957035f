"""A SpaceMouse as a hand: from the twist and the buttons of `spacenav_node` to a wish and events. No ROS in here.

The driver repeats both topics about every 30 ms, also while the puck rests, in our frame: x ahead, y left, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from world4rl_control.teleop_axes import with_dead_zone
from world4rl_control.teleop_buttons import NO_BUTTON, ButtonPanel, TeleopEvent


@dataclass(frozen=True)
class SpaceMouseConfig:
    """Index of each button; -1: none. Most models have two buttons: 0 left, 1 right."""

    deadman: int = 0  # left button
    gripper: int = 1  # right button
    start: int = NO_BUTTON
    success: int = NO_BUTTON
    failure: int = NO_BUTTON
    discard: int = NO_BUTTON
    enable: int = NO_BUTTON
    disable: int = NO_BUTTON
    release: int = NO_BUTTON

    def events(self) -> dict[TeleopEvent, int]:
        """Event -> index of its button."""
        return {event: getattr(self, event.value) for event in TeleopEvent}


class SpaceMouseMap:
    """The puck moves and turns the arm while the dead-man is held. A TeleopMap."""

    def __init__(self, timeout_s: float, dead_zone: float, config: SpaceMouseConfig = SpaceMouseConfig()) -> None:
        self._zone, self._timeout_s = dead_zone, timeout_s
        self._panel = ButtonPanel("spacemouse", config.deadman, config.events(), timeout_s)
        self._wish = np.zeros(6)
        self._moved_s: float | None = None  # when the puck was last heard
        self.problem = ""

    def see_buttons(self, buttons: Sequence[int], now_s: float) -> tuple[TeleopEvent, ...]:
        """Take the state of all buttons; returns what was pressed with it."""
        # The driver lists only the buttons that were ever pressed: a short list is no fault.
        return self._panel.see(buttons, now_s)

    def see_twist(self, twist: ArrayLike, now_s: float) -> None:
        """Take the puck's twist (6,), linear then angular, about -1 to 1. A NaN lets go of the dead-man."""
        try:
            self._wish, self._moved_s, self.problem = with_dead_zone(twist, self._zone), now_s, ""
        except ValueError as error:
            self._panel.drop()
            self._moved_s, self.problem = None, str(error)

    def wish(self, now_s: float) -> np.ndarray | None:
        """See TeleopMap. The puck falling silent counts as letting go."""
        heard = self._moved_s is not None and 0.0 <= now_s - self._moved_s <= self._timeout_s
        return self._wish.copy() if heard and self._panel.held(now_s) else None

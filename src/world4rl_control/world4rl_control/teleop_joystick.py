"""A game controller as a hand: from sensor_msgs/Joy's numbers to a wish and events. No ROS in here.

Indices are those of the joy package's `game_controller_node`; sticks pushed ahead or to the left are positive there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from world4rl_control.teleop_axes import DIRECTIONS, pick, with_dead_zone
from world4rl_control.teleop_buttons import NO_BUTTON, ButtonPanel, TeleopEvent


@dataclass(frozen=True)
class JoystickConfig:
    """Index of each button and axis; -1: none."""

    deadman: int = 9  # left shoulder
    gripper: int = 0  # A
    start: int = 6  # start; the right shoulder, 10, is left to the gate's own dead-man button
    success: int = 3  # Y
    failure: int = 2  # X
    discard: int = 4  # back
    enable: int = 7  # press of the left stick
    disable: int = 1  # B
    release: int = 8  # press of the right stick
    axis_dx: int = 1  # left stick, up and down
    axis_dy: int = 0  # left stick, sideways
    axis_dz: int = 3  # right stick, up and down
    axis_rx: int = NO_BUTTON
    axis_ry: int = NO_BUTTON
    axis_rz: int = 2  # right stick, sideways
    rx_plus: int = 14  # directional pad, right
    rx_minus: int = 13  # left
    ry_plus: int = 11  # up
    ry_minus: int = 12  # down

    def events(self) -> dict[TeleopEvent, int]:
        """Event -> index of its button."""
        return {event: getattr(self, event.value) for event in TeleopEvent}


class JoystickMap:
    """Sticks and the directional pad move the arm while the dead-man is held. A TeleopMap."""

    def __init__(self, timeout_s: float, dead_zone: float, config: JoystickConfig = JoystickConfig()) -> None:
        self.config, self._zone = config, dead_zone
        self._panel = ButtonPanel("joystick", config.deadman, config.events(), timeout_s)
        self._axes = [getattr(config, f"axis_{name}") for name in DIRECTIONS]
        self._wish: np.ndarray = np.zeros(6)
        self.problem = ""

    def see(self, axes: Sequence[float], buttons: Sequence[int], now_s: float) -> tuple[TeleopEvent, ...]:
        """Take one message; returns the buttons pressed with it. A message with a NaN lets go of the dead-man."""
        config = self.config
        pad = np.zeros(6)
        pad[3] = pick(buttons, config.rx_plus) - pick(buttons, config.rx_minus)
        pad[4] = pick(buttons, config.ry_plus) - pick(buttons, config.ry_minus)
        try:
            sticks = with_dead_zone([pick(axes, index) for index in self._axes], self._zone)
        except ValueError as error:
            self._panel.drop()
            self.problem = str(error)
            return ()
        self._wish = np.clip(sticks + pad, -1.0, 1.0)
        events = self._panel.see(buttons, now_s)
        self.problem = self._panel.problem
        return events

    def wish(self, now_s: float) -> np.ndarray | None:
        """See TeleopMap."""
        return self._wish.copy() if self._panel.held(now_s) else None

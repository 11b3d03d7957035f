"""A joystick of this machine as a hand, by the joystick interface of the Linux kernel. No ROS in here.

The kernel's order of buttons and axes is that of the xpad driver (Xbox controllers and most that imitate them).
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from world4rl.play.hands import Order, TeleopHand, Wish
from world4rl_control.teleop_buttons import TeleopEvent
from world4rl_control.teleop_joystick import JoystickMap
from world4rl_data.contract import TaskContract

DEAD_ZONE, SILENCE_S = 0.1, 0.5  # of the sticks; how long a held dead-man counts without being asked again
_EVENT = struct.Struct("IhBB")  # js_event: time [ms], value, type, number
_BUTTON, _AXIS, _INITIAL = 0x01, 0x02, 0x80
_FULL = 32767.0
_BUTTONS = (0, 1, 2, 3, 9, 10, 4, 6, 7, 5, 8)  # kernel's number -> place in game_controller_node's order
_STICKS = {0: (0, -1), 1: (1, -1), 3: (2, -1), 4: (3, -1)}  # kernel's axis -> place, sign: ahead and left are positive
_PAD = {6: (13, 14), 7: (11, 12)}  # kernel's axis -> places of the directional pad's buttons: negative, positive


class JoystickHand(TeleopHand):
    """Sticks and buttons as in teleoperation over ROS; a joystick that is pulled out quits."""

    def __init__(self, path: Path, contract: TaskContract, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises OSError where the device cannot be read."""
        self._stick, self._clock = JoystickMap(SILENCE_S, DEAD_ZONE), clock
        super().__init__(contract, self._stick)
        self._axes, self._buttons = [0.0] * 4, [0] * 15
        self._device = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def poll(self) -> Wish:
        """See Hand."""
        events: list[TeleopEvent] = []
        try:
            while data := os.read(self._device, _EVENT.size):
                _, value, kind, number = _EVENT.unpack(data)
                self._take(kind & ~_INITIAL, number, value)
                events += self._stick.see(self._axes, self._buttons, self._clock())  # each press by itself
            return Wish((Order.QUIT,))
        except BlockingIOError:
            events += self._stick.see(self._axes, self._buttons, self._clock())
        except OSError:
            return Wish((Order.QUIT,))
        return self.wish(events, self._clock())

    def _take(self, kind: int, number: int, value: int) -> None:
        if kind == _BUTTON and number < len(_BUTTONS):
            self._buttons[_BUTTONS[number]] = value
        elif kind == _AXIS and number in _STICKS:
            place, sign = _STICKS[number]
            self._axes[place] = sign * max(-1.0, value / _FULL)
        elif kind == _AXIS and number in _PAD:
            negative, positive = _PAD[number]
            self._buttons[negative], self._buttons[positive] = int(value < 0), int(value > 0)

    def close(self) -> None:
        """Give the device back."""
        os.close(self._device)

"""A keyboard in a terminal as a hand: from typed characters to a wish and events. No ROS in here.

A terminal tells no key's release, only that the last key pressed repeats. So the repeating key is the dead-man: a
direction ends when its key has not come again for a moment.
"""

from __future__ import annotations

import numpy as np

from world4rl_control.teleop_axes import DIRECTIONS
from world4rl_control.teleop_buttons import TeleopEvent

HOLD_KEY = " "  # takes the arm and stands still
MOTION_KEYS: dict[str, tuple[str, int]] = {
    "w": ("dx", 1),
    "s": ("dx", -1),
    "a": ("dy", 1),
    "d": ("dy", -1),
    "q": ("dz", 1),
    "e": ("dz", -1),
    "l": ("rx", 1),
    "j": ("rx", -1),
    "i": ("ry", 1),
    "k": ("ry", -1),
    "u": ("rz", 1),
    "o": ("rz", -1),
}
EVENT_KEYS = {
    "g": TeleopEvent.GRIPPER,
    "t": TeleopEvent.START,
    "y": TeleopEvent.SUCCESS,
    "n": TeleopEvent.FAILURE,
    "c": TeleopEvent.DISCARD,
    "p": TeleopEvent.ENABLE,
    "x": TeleopEvent.DISABLE,
    "b": TeleopEvent.RELEASE,
}
_KEYS = {HOLD_KEY, *MOTION_KEYS, *EVENT_KEYS}
_SAME_PRESS_S = 1.0  # keys begin to repeat after up to .7 s: a held event key is one press


class KeyboardMap:
    """A held key moves the arm at full wish in its direction; several keys add up. A TeleopMap."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._seen: dict[str, float] = {}  # key -> when it came last
        self.problem = ""

    def see(self, keys: str, now_s: float) -> tuple[TeleopEvent, ...]:
        """Take the characters typed since the last call; returns the event keys newly pressed, and each stop."""
        events = []
        for key in keys:
            if key in EVENT_KEYS:
                event, last_s = EVENT_KEYS[key], self._seen.get(key)
                # A stop counts whenever it comes: whoever hammers that key must not be taken for holding it.
                if event is TeleopEvent.DISABLE or last_s is None or not 0.0 <= now_s - last_s < _SAME_PRESS_S:
                    events.append(event)
            if key in _KEYS:
                self._seen[key] = now_s
        return tuple(events)

    def wish(self, now_s: float) -> np.ndarray | None:
        """See TeleopMap: None when no key of the hand (motion, hold, gripper) has come within the time-out."""
        fresh = {key for key, last_s in self._seen.items() if 0.0 <= now_s - last_s <= self._timeout_s}
        if not fresh & {HOLD_KEY, "g", *MOTION_KEYS}:
            return None
        wish = np.zeros(6)
        for key in fresh & set(MOTION_KEYS):
            name, sign = MOTION_KEYS[key]
            wish[DIRECTIONS.index(name)] += sign
        return wish

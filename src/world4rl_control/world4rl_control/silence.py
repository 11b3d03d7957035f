"""Watches over things that must keep speaking or stay pressed: topics, streams of the contract, the dead-man button.

No ROS in here. Ages count from arrival, so that the clocks of two machines need not agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from world4rl_control.instant import Instant

_CONFIRM_S = 0.02  # real time; the gate's watch comes round every 0.05 s


class StreamAges:
    """The contract's observation streams: when each spoke last, by the clock of whoever asks."""

    def __init__(self, timeouts_s: Mapping[str, float]) -> None:
        """`timeouts_s`: topic -> age [s] beyond which it counts as silent."""
        self._timeouts = dict(timeouts_s)
        self._heard_s: dict[str, float] = {}

    def heard(self, topic: str, now_s: float) -> None:
        """Note a message; what is in it does not matter."""
        self._heard_s[topic] = now_s

    def stale(self, now_s: float) -> str:
        """The first stream that is silent, as a sentence; empty when all speak."""
        for topic, limit in self._timeouts.items():
            heard = self._heard_s.get(topic)
            if heard is None:
                return f"nothing has come on {topic} yet: is its driver running?"
            if now_s - heard > limit:
                return f"nothing on {topic} for more than {limit:g} s: is its driver running?"
        return ""


class Confirmed:
    """A watch that must say the same twice, a moment apart: a gate that was kept from the processor finds the messages
    that waited for it in between, and does not blame their sender."""

    def __init__(self, watch: Callable[[Instant], str]) -> None:
        self.raw = watch
        self._since_s = math.inf

    def __call__(self, now: Instant) -> str:
        found = self.raw(now)
        if not found:
            self._since_s = math.inf
            return ""
        self._since_s = min(self._since_s, now.steady_s)
        return found if now.steady_s - self._since_s >= _CONFIRM_S else ""


class DeadMan:
    """A button that must be held, on a topic that must keep coming (joystick drivers repeat: autorepeat_rate > 0)."""

    def __init__(self, button: int, timeout_s: float, topic: str) -> None:
        self._button, self._timeout_s, self._topic = button, timeout_s, topic
        self._pressed = False
        self._heard_s = -math.inf  # real time

    def see(self, buttons: Sequence[int], steady_s: float) -> None:
        """Take the buttons of a joystick message, each 0 or 1."""
        self._pressed = len(buttons) > self._button and buttons[self._button] == 1
        self._heard_s = steady_s

    def released(self, _now: Instant) -> str:
        """Why the arm must stop: the button is not held."""
        return "" if self._pressed else f"the dead-man button (button {self._button} of {self._topic}) is not held"

    def silent(self, now: Instant) -> str:
        """Why the arm must stop: nobody knows whether the button is held."""
        if now.steady_s - self._heard_s <= self._timeout_s:
            return ""
        return (
            f"the dead-man topic {self._topic} is silent: is the joystick's driver running, with autorepeat_rate > 0?"
        )

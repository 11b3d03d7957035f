"""How promptly and how regularly a policy acts: delays, rate, jitter and missed periods of its last actions."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

LATE = 1.5  # control periods between two actions from which on a period counts as skipped


@dataclass(frozen=True)
class Spread:
    """Mean, median, 99th percentile and maximum of the window [ms]; NaN where nothing was measured."""

    mean: float = math.nan
    p50: float = math.nan
    p99: float = math.nan
    max: float = math.nan

    @classmethod
    def of(cls, values: deque[float]) -> Spread:
        if not values:
            return cls()
        numbers = np.array(values)
        p50, p99 = np.percentile(numbers, [50, 99])
        return cls(float(numbers.mean()), float(p50), float(p99), float(numbers.max()))

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, max {self.max:.1f}"


@dataclass(frozen=True)
class ActionReport:
    """What `ActionStatistics` says of an episode.

    `actions` and `skipped` (periods without an action between two actions) count since the episode began; the others
    cover the window: `rate_hz` by the node's clock, `jitter_ms` the standard deviation of the time between two actions,
    `image_to_action` from the stamp of the oldest picture used to the action's departure (node's clock),
    `arrival_to_action` from the arrival of the observation's last picture (monotonic clock).
    """

    actions: int
    skipped: int
    rate_hz: float
    jitter_ms: float
    image_to_action: Spread
    arrival_to_action: Spread


class ActionStatistics:
    """Statistics of an episode's actions; one thread may add while another asks."""

    def __init__(self, period_s: float, window: int = 600) -> None:
        """`period_s`: the control period [s]; `window`: how many of the last actions the delays cover."""
        self._period_ns = period_s * 1e9
        self._lock = threading.Lock()
        self._sent: deque[int] = deque(maxlen=window)
        self._from_image: deque[float] = deque(maxlen=window)
        self._from_arrival: deque[float] = deque(maxlen=window)
        self._actions = self._skipped = 0

    def restart(self) -> None:
        """A new episode begins."""
        with self._lock:
            for kept in (self._sent, self._from_image, self._from_arrival):
                kept.clear()
            self._actions = self._skipped = 0

    def add(self, sent_ns: int, image_stamp_ns: int, arrival_s: float) -> None:
        """An action left at `sent_ns` (node's clock), decided on pictures from `image_stamp_ns` on.

        Args:
            arrival_s: real time since the observation's last picture arrived [s].
        """
        with self._lock:
            if self._sent and sent_ns < self._sent[-1]:
                self._sent.clear()  # the clock was set back
            if self._sent and sent_ns - self._sent[-1] > LATE * self._period_ns:
                self._skipped += round((sent_ns - self._sent[-1]) / self._period_ns) - 1
            self._sent.append(sent_ns)
            self._from_image.append((sent_ns - image_stamp_ns) * 1e-6)
            self._from_arrival.append(1e3 * arrival_s)
            self._actions += 1

    def report(self, now_ns: int) -> ActionReport:
        """What there is to say at `now_ns` (node's clock)."""
        with self._lock:
            sent = np.array(self._sent, dtype=np.int64)
            gaps = np.diff(sent) * 1e-6
            return ActionReport(
                actions=self._actions,
                skipped=self._skipped,
                rate_hz=self._rate(sent, now_ns),
                jitter_ms=float(gaps.std()) if len(gaps) > 1 else math.nan,
                image_to_action=Spread.of(self._from_image),
                arrival_to_action=Spread.of(self._from_arrival),
            )

    def _rate(self, sent: np.ndarray, now_ns: int) -> float:
        """Over the last 30 actions; falls when there are no new ones."""
        recent = sent[-30:]
        if len(recent) < 2:
            return 0.0
        until = max(int(recent[-1]), now_ns - int(LATE * self._period_ns))
        return (len(recent) - 1) * 1e9 / max(1, until - int(recent[0]))

"""When an observation-driven source may act: every stream is new, and a control period has nearly passed.

No ROS in here.
"""

from __future__ import annotations

from collections.abc import Iterable

from world4rl_data.control_period import too_soon


class ObservationPacer:
    """Counts the streams that spoke since the last action."""

    def __init__(self, topics: Iterable[str], period_s: float) -> None:
        self._topics = frozenset(topics)
        self._seen: set[str] = set()
        self._period_s = period_s
        self._last_s: float | None = None

    def saw(self, topic: str) -> None:
        """Note a message of a stream."""
        self._seen.add(topic)

    def due(self, now_s: float) -> bool:
        """Whether to act at this moment; a yes begins the next wait. Clocks that start again do not block."""
        if self._seen != self._topics:
            return False
        if self._last_s is not None and too_soon(now_s - self._last_s, self._period_s):
            return False
        self._seen.clear()
        self._last_s = now_s
        return True

    @property
    def missing(self) -> list[str]:
        """Topics that have not spoken since the last action."""
        return sorted(self._topics - self._seen)

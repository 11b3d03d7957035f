"""What is known of one recorded topic: whether it is alive, what it latched, what was lost on the way."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .bag_writer import BagTopic


@dataclass
class Tap:
    """One recorded topic. Times are monotonic [s] or receive times [ns]."""

    name: str
    type: str = ""  # empty: taken from the graph
    observed: bool = False  # part of the observation: must be alive before an episode starts
    awaited: bool = False  # must have a publisher before an episode starts
    trouble: str = "has no publisher"
    note: str = ""  # what of it cannot be recorded, and why
    topic: BagTopic | None = None
    subscription: Any = None
    seen_at: float = float("-inf")
    latest: dict[Hashable, tuple[int, bytes]] = field(default_factory=dict)  # publisher -> its newest message
    _sequence: dict[Hashable, int] = field(default_factory=dict)  # publisher -> number of its newest message

    @property
    def latched(self) -> bool:
        return self.topic is not None and self.topic.transient_local

    @property
    def newest(self) -> tuple[int, bytes] | None:
        """Receive time [ns] and bytes of the newest message of all publishers."""
        return max(list(self.latest.values()), key=lambda item: item[0], default=None)

    def saw(self, log_ns: int, data: bytes, info: Mapping[str, Any], now: float) -> int:
        """Remember a message; returns how many of its publisher's messages were lost before it.

        Where rclpy does not say from which publisher it is and its number (Humble), losses on the way stay unseen and of
        several latched publishers only the newest message is known.
        """
        gid = info.get("publisher_gid")
        publisher = gid["data"] if gid else None
        if not self.latched and publisher not in self.latest:
            self.latest.clear()  # only a latched message outlives its publisher's silence
        self.seen_at = now
        self.latest[publisher] = (log_ns, data)
        number = info.get("publication_sequence_number")
        if publisher is None or not number:
            return 0
        before = self._sequence.get(publisher)
        self._sequence[publisher] = number
        return max(0, number - before - 1) if before is not None else 0

    def forget_numbers(self) -> None:
        """After a new subscription: messages between the two were nobody's loss."""
        self._sequence.clear()

    def silence(self, limit_s: float, now: float) -> str:
        """What about this topic keeps an episode from starting; empty when nothing does."""
        if self.trouble and (self.observed or self.awaited):
            return f"{self.name} {self.trouble}"
        age = now - self.seen_at
        if self.observed and age > limit_s:
            since = f"for {age:.1f} s" if self.latest else "yet"
            return f"{self.name} has a publisher, but no message came {since}"
        return ""

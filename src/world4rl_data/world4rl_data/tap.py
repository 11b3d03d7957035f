"""What is known of one recorded topic: whether it is alive, what it latched, what was lost on the way."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .bag_writer import BagTopic

_MOST_LATCHED = 100


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
    publishers: int = 0
    seen_at: float = float("-inf")
    latest: dict[Hashable, tuple[int, bytes]] = field(
        default_factory=dict
    )  # newest message of each publisher, oldest first
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

        Not every rclpy says which publisher a message is from (Kilted does). Without that, losses are seen where there
        is one publisher, and of latched messages the newest different ones are kept.
        """
        gid = info.get("publisher_gid")
        publisher: Hashable = gid["data"] if gid else None
        self.seen_at = now
        self._keep(publisher, log_ns, data)
        number = info.get("publication_sequence_number")
        if not number or (publisher is None and self.publishers != 1):
            return 0
        before = self._sequence.get(publisher)
        self._sequence[publisher] = number
        return max(0, number - before - 1) if before is not None else 0

    def _keep(self, publisher: Hashable, log_ns: int, data: bytes) -> None:
        if not self.latched:
            self.latest = {publisher: (log_ns, data)}
            return
        key = data if publisher is None else publisher
        self.latest.pop(key, None)
        self.latest[key] = (log_ns, data)
        if len(self.latest) > _MOST_LATCHED:
            self.latest.pop(next(iter(self.latest)))  # the oldest

    def forget_numbers(self) -> None:
        """After a new subscription: messages between the two were nobody's loss."""
        self._sequence.clear()

    def silence(self, limit_s: float, now: float) -> str:
        """What about this topic keeps an episode from starting, or spoils a running one; empty when nothing does."""
        if self.trouble and (self.observed or self.awaited):
            return f"{self.name} {self.trouble}"
        age = now - self.seen_at
        if self.observed and age > limit_s:
            since = f"for {age:.1f} s" if self.latest else "yet"
            return f"{self.name} has a publisher, but no message came {since}"
        return ""

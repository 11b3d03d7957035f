"""The bounded queue between what receives messages and the thread that writes them."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from typing import NamedTuple

from .bag_writer import BagTopic


class Received(NamedTuple):
    """A serialized message with when it was received and, where known, when it was sent [ns]."""

    topic: BagTopic
    log_ns: int
    data: bytes
    publish_ns: int


class EpisodeQueue:
    """Any number of threads put, one gets. What does not fit is dropped and counted per topic; `put` never waits."""

    def __init__(self, max_bytes: float) -> None:
        self._max_bytes = max_bytes
        self._queue: queue.SimpleQueue[Received | None] = queue.SimpleQueue()
        self._bytes = 0
        self._closed = False
        self._lock = threading.Lock()
        self.received = 0
        self.peak_bytes = 0  # the most that has waited
        self.dropped: Counter[str] = Counter()  # topic -> messages

    def put(self, item: Received) -> None:
        size = len(item.data)
        with self._lock:
            if self._closed:
                return
            if self._bytes + size > self._max_bytes:
                self.dropped[item.topic.name] += 1
                return
            self._bytes += size
            self.peak_bytes = max(self.peak_bytes, self._bytes)
            self.received += 1
            self._queue.put(item)

    def close(self) -> None:
        """Nothing more comes: `get` returns None after what is there."""
        with self._lock:
            self._closed = True
            self._queue.put(None)

    def get(self, timeout: float) -> Received | None:
        """The next message, or None once closed and empty. Raises queue.Empty when none comes in `timeout` seconds."""
        item = self._queue.get(timeout=timeout)
        if item is not None:
            with self._lock:
                self._bytes -= len(item.data)
        return item

"""Takes raw messages from subscriptions in a thread of its own, many at a time.

An executor of rclpy waits anew for every few messages, with all subscriptions in its wait set, which at thousands of
messages a second fills a processor. Here the middleware's queues (depth 1000) are emptied every few milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

_MOST_AT_ONCE = 200  # messages of one topic before the others get their turn

OnMessage = Callable[[bytes, Mapping[str, Any]], None]


class NeverServed(CallbackGroup):
    """Keeps the executor from waiting for what the drain takes."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing was begun."""


class SubscriptionDrain:
    """Calls `on_message(bytes, message info)` of every subscription added, from its thread."""

    def __init__(self, node: Node, period_s: float = 0.005) -> None:
        self.group = NeverServed()
        self._node = node
        self._period_s = period_s
        self._sources: dict[Any, OnMessage] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscription drain", daemon=True)
        self._thread.start()

    def add(self, subscription: Any, on_message: OnMessage) -> None:
        with self._lock:
            self._sources[subscription] = on_message

    def remove(self, subscription: Any) -> None:
        """Take what still waits; afterwards the subscription may be destroyed."""
        with self._lock:
            on_message = self._sources.pop(subscription)
            if self._node.context.ok():
                self._take(subscription, on_message)

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._period_s):
            try:
                with self._lock:
                    for subscription, on_message in self._sources.items():
                        self._take(subscription, on_message)
            except Exception as error:
                if not self._node.context.ok():
                    return  # told to end: nothing comes any more
                self._node.get_logger().error(f"taking messages failed: {error!r}", throttle_duration_sec=5.0)

    @staticmethod
    def _take(subscription: Any, on_message: OnMessage) -> None:
        handle = subscription.handle
        with handle:
            for _ in range(_MOST_AT_ONCE):
                taken = handle.take_message(subscription.msg_type, True)
                if taken is None:
                    return
                on_message(*taken)

"""The recorder node's subscriptions: raw bytes, QoS adapted to the publishers, and what is silent."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from .bag_writer import BagTopic
from .message_definition import DefinitionError, message_definition
from .recorder import subscription_qos

_DEPTH = 1000


@dataclass
class Tap:
    """One recorded topic and what is known of it."""

    name: str
    type: str = ""  # empty: taken from the graph
    observed: bool = False  # part of the observation: must be alive before an episode starts
    awaited: bool = False  # must have a publisher before an episode starts
    trouble: str = "has no publisher"
    topic: BagTopic | None = None
    subscription: Any = None
    qos: tuple[bool, bool] = (True, False)  # reliable, transient local
    seen_at: float = float("-inf")  # monotonic [s]
    latest: tuple[int, bytes] | None = None  # receive time [ns] and bytes of the newest message


class TopicTaps:
    """All subscriptions of the recorder; `on_message(topic, receive time [ns], bytes)` gets what comes."""

    def __init__(self, node: Node, taps: list[Tap], on_message: Callable[[BagTopic, int, bytes], None]) -> None:
        self._node = node
        self._on_message = on_message
        self._taps: dict[str, Tap] = {}
        for tap in taps:
            self._taps.setdefault(tap.name, tap)
        for tap in self._taps.values():
            if tap.type and not tap.observed:
                self._subscribe(tap, tap.qos, "")  # before its publisher comes, so that no first message is lost
        self.look_for_publishers()

    def __iter__(self) -> Iterator[Tap]:
        return iter(self._taps.values())

    def close(self) -> None:
        for tap in self:
            if tap.subscription is not None:
                self._node.destroy_subscription(tap.subscription)
        self._taps = {}

    def silent(self, limit_s: float) -> list[str]:
        """What keeps an episode from starting, one line per topic; empty when all that is needed is alive."""
        lines = []
        for tap in self:
            age = time.monotonic() - tap.seen_at
            if tap.trouble and (tap.observed or tap.awaited):
                lines.append(f"{tap.name} {tap.trouble}")
            elif tap.observed and age > limit_s:
                since = f"for {age:.1f} s" if tap.latest else "yet"
                lines.append(f"{tap.name} has a publisher, but no message came {since}")
        return lines

    def look_for_publishers(self) -> None:
        """Subscribe to topics whose publishers have come, with QoS that all of them offer. Call it every so often."""
        for tap in self:
            infos = self._node.get_publishers_info_by_topic(tap.name)
            if not infos:
                tap.trouble = "has no publisher"
                continue
            tap.type = tap.type or infos[0].topic_type
            other = sorted({i.topic_type for i in infos} - {tap.type})
            if other:
                tap.trouble = f"is published as {', '.join(other)}, expected {tap.type}"
                continue
            tap.trouble = ""
            qos = subscription_qos(
                [
                    (
                        i.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
                        i.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                    )
                    for i in infos
                ]
            )
            type_hash = str(getattr(infos[0], "topic_type_hash", ""))
            if tap.subscription is None or tap.qos != qos:
                self._subscribe(tap, qos, type_hash)
            elif tap.topic is not None and not tap.topic.type_hash:
                tap.topic = self._bag_topic(tap, qos, type_hash)

    def _subscribe(self, tap: Tap, qos: tuple[bool, bool], type_hash: str) -> None:
        """(Re)subscribe to raw bytes; on failure `tap.trouble` says why."""
        try:
            package, kind, name = tap.type.split("/")
            message_class = getattr(importlib.import_module(f"{package}.{kind}"), name)
            topic = self._bag_topic(tap, qos, type_hash)
        except (ImportError, AttributeError, DefinitionError) as error:
            tap.trouble = f"has type {tap.type}, which is not installed here ({error})"
            self._node.get_logger().warning(f"{tap.name} {tap.trouble}", throttle_duration_sec=30.0)
            return
        if tap.subscription is not None:
            self._node.destroy_subscription(tap.subscription)
        reliable, latched = qos
        profile = QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        tap.topic, tap.qos = topic, qos
        tap.subscription = self._node.create_subscription(
            message_class, tap.name, partial(self._receive, tap), profile, raw=True
        )

    @staticmethod
    def _bag_topic(tap: Tap, qos: tuple[bool, bool], type_hash: str) -> BagTopic:
        return BagTopic(tap.name, tap.type, message_definition(tap.type), *qos, type_hash=type_hash)

    def _receive(self, tap: Tap, data: bytes) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        tap.seen_at = time.monotonic()
        tap.latest = (now_ns, data)
        if tap.topic is not None:
            self._on_message(tap.topic, now_ns, data)

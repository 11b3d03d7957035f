"""The recorder node's subscriptions: raw bytes, QoS adapted to the publishers, and what is silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.serialization import deserialize_message

from .bag_writer import BagTopic
from .contract import ImageStream
from .image import ImageError
from .message_definition import DefinitionError, message_definition
from .message_types import message_class
from .observation import image_of
from .offered_qos import Offer, Request, subscription_qos
from .subscription_drain_node import SubscriptionDrain
from .tap import Tap

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_DEPTH = 1000
_UNKNOWN = Request(reliable=True, latched=False)


class TopicTaps:
    """All subscriptions of the recorder.

    `on_message(topic, receive time [ns], bytes, send time [ns])` gets what comes, and `on_lost(topic name, count)` what
    the middleware lost; both from a thread of the taps. Everything else is for the executor's thread.
    """

    def __init__(
        self,
        node: Node,
        taps: list[Tap],
        on_message: Callable[[BagTopic, int, bytes, int], None],
        on_lost: Callable[[str, int], None],
    ) -> None:
        self._node, self._on_message, self._on_lost = node, on_message, on_lost
        self._drain = SubscriptionDrain(node)
        self._taps: dict[str, Tap] = {}
        for tap in taps:
            self._taps.setdefault(tap.name, tap)
        for tap in self._taps.values():
            if tap.type and not tap.observed:
                self._subscribe(tap, _UNKNOWN, "")  # before its publisher comes, so that no first message is lost
        self.look_for_publishers()

    def __iter__(self) -> Iterator[Tap]:
        return iter(self._taps.values())

    def close(self) -> None:
        self._drain.close()
        for tap in self:
            self._unsubscribe(tap)
        self._taps = {}

    def silent(self, limit_s: float) -> dict[str, str]:
        """What an episode lacks: topic to a line about it; empty when all that is needed is alive."""
        now = time.monotonic()
        return {tap.name: line for tap in self if (line := tap.silence(limit_s, now))}

    def wrong_pictures(self, streams: Iterable[ImageStream]) -> list[str]:
        """Why the newest pictures of these streams are of no use, as far as their size is known beforehand."""
        faults = []
        for stream in streams:
            tap = self._taps[stream.topic]
            newest = tap.newest
            if stream.camera is None or newest is None or tap.subscription is None:
                continue
            try:
                image_of(deserialize_message(newest[1], tap.subscription.msg_type), stream)
            except ImageError as error:
                faults.append(f"{stream.topic}: {error}")
        return faults

    @property
    def notes(self) -> list[str]:
        """What of which topic cannot be recorded, one line per topic."""
        return [f"{tap.name} {tap.note}" for tap in self if tap.note]

    def replay(self, start_ns: int) -> None:
        """Hand over again what was known before an episode: the first action may come before the next message.

        Latched messages bear the episode's start, however old they are.
        """
        for tap in self:
            if tap.topic is None:
                continue
            if tap.latched:
                for _, data in sorted(tap.latest.values()):  # the newest last
                    self._on_message(tap.topic, start_ns, data, 0)
            elif tap.observed and (newest := tap.newest) is not None:
                self._on_message(tap.topic, *newest, 0)

    def look_for_publishers(self) -> None:
        """Subscribe to topics whose publishers have come, with QoS that all of them offer. Call it every so often."""
        for tap in self:
            infos = self._node.get_publishers_info_by_topic(tap.name)
            tap.publishers = len(infos)
            if not infos:
                tap.trouble = "has no publisher"
                continue
            tap.type = tap.type or infos[0].topic_type
            other = sorted({i.topic_type for i in infos} - {tap.type})
            if other:
                tap.trouble = f"is published as {', '.join(other)}, expected {tap.type}"
                continue
            tap.trouble = ""
            wanted = subscription_qos([_offer(i) for i in infos])
            type_hash = str(getattr(infos[0], "topic_type_hash", ""))
            if tap.topic is None or (tap.topic.reliable, tap.topic.transient_local) != wanted[:2]:
                self._subscribe(tap, wanted, type_hash)
            elif not tap.topic.type_hash:
                tap.topic = _bag_topic(tap, wanted, type_hash)
            self._note(tap, "; ".join([note for note in (wanted.note, *_incompatible(infos, wanted)) if note]))

    def _subscribe(self, tap: Tap, wanted: Request, type_hash: str) -> None:
        """(Re)subscribe to raw bytes; on failure `tap.trouble` says why."""
        try:
            kind = message_class(tap.type)
            topic = _bag_topic(tap, wanted, type_hash)
        except (ValueError, DefinitionError) as error:
            tap.trouble = f"has type {tap.type}, which is not known here ({error.__cause__ or error})"
            self._node.get_logger().warning(f"{tap.name} {tap.trouble}", throttle_duration_sec=30.0)
            return
        self._unsubscribe(tap)
        tap.topic = topic
        tap.subscription = self._node.create_subscription(
            kind,
            tap.name,
            print,  # never called: the drain takes the messages
            _profile(wanted),
            raw=True,
            callback_group=self._drain.group,
            # No event callbacks: with one in its wait set, an executor is woken by every message as well.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        self._drain.add(tap.subscription, partial(self._receive, tap))

    def _unsubscribe(self, tap: Tap) -> None:
        if tap.subscription is not None:
            self._drain.remove(tap.subscription)
            self._node.destroy_subscription(tap.subscription)
        tap.subscription = None
        tap.forget_numbers()

    def _note(self, tap: Tap, note: str) -> None:
        if note and note != tap.note:
            self._node.get_logger().warning(f"{tap.name} {note}")
        tap.note = note

    def _receive(self, tap: Tap, data: bytes, info: Mapping[str, Any]) -> None:
        topic = tap.topic
        if topic is None:
            return
        clock = self._node.get_clock()
        now_ns, sent_ns = 0, 0
        if not clock.ros_time_is_active:  # the middleware stamps with the system's clock
            now_ns, sent_ns = info.get("received_timestamp", 0), info.get("source_timestamp", 0)
        now_ns = now_ns or clock.now().nanoseconds
        lost = tap.saw(now_ns, data, info, time.monotonic())
        if lost:
            self._on_lost(tap.name, lost)
        self._on_message(topic, now_ns, data, sent_ns)


def _profile(wanted: Request) -> QoSProfile:
    return QoSProfile(
        depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if wanted.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if wanted.latched else DurabilityPolicy.VOLATILE,
    )


def _incompatible(infos: list[Any], wanted: Request) -> list[str]:
    """Publishers from which nothing comes all the same, and why."""
    lines = []
    for info in infos:
        verdict, reason = qos_check_compatible(info.qos_profile, _profile(wanted))
        if verdict == QoSCompatibility.ERROR:
            lines.append(f"gets nothing from {_offer(info).node}: {reason}")
    return lines


def _offer(info: Any) -> Offer:
    qos = info.qos_profile
    return Offer(
        node=f"{info.node_namespace.rstrip('/')}/{info.node_name}",
        reliable=qos.reliability == ReliabilityPolicy.RELIABLE,
        latched=qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )


def _bag_topic(tap: Tap, wanted: Request, type_hash: str) -> BagTopic:
    definition = message_definition(tap.type)
    return BagTopic(tap.name, tap.type, definition, wanted.reliable, wanted.latched, type_hash=type_hash)

"""Listens to the whole graph: when each message came, and how long after its cause."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from threading import Thread
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from soak_parts.distribution import Arrivals, Distribution

from world4rl_data.contract import TaskContract
from world4rl_data.message_types import message_class
from world4rl_interfaces.msg import Action, ArmStatus, EpisodeStatus, PolicyStatus

_DEEP = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OWN_TOPICS = ("/parameter_events", "/rosout")


class GraphListener(Node):
    """How often each topic spoke since `restart`, and what the messages with meaning said."""

    def __init__(self, contract: TaskContract, namespace: str) -> None:
        super().__init__("soak_listener", start_parameter_services=False, enable_rosout=False)
        self.rejected = self.episodes = self.dropped = 0
        self.restart()
        self._contract, self._namespace = contract, namespace
        self._pictures = {s.topic for s in contract.images}
        self._picture_at = 0.0
        self._asked: dict[int, float] = {}
        self._recording = ""
        self._followed: set[str] = set(OWN_TOPICS)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._follow(f"{namespace}/arm_gate/status", ArmStatus, self._on_arm, _LATCHED)
        self._follow(f"{namespace}/recorder/status", EpisodeStatus, self._on_recorder, _LATCHED)
        self._follow(f"{namespace}/policy/status", PolicyStatus, self._on_policy, _LATCHED)
        self._follow(contract.action_topic, Action, self._on_action, 100)
        self._follow(contract.executed_action_topic, Action, self._on_executed, 100)
        self._follow("/clock", Clock, self._on_clock, _DEEP)
        self.create_timer(1.0, self._follow_new)
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()

    def restart(self) -> None:
        """Forget what was heard; the measurement begins now."""
        self.arrivals: dict[str, Arrivals] = defaultdict(Arrivals)
        self.latencies_ms: dict[str, Distribution] = defaultdict(Distribution)
        self.clock_s: tuple[float, float] = (0.0, 0.0)  # the first and the last
        self.clock_heard_s: tuple[float, float] = (0.0, 0.0)
        self.executed = 0

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        """Ends the listening; what was heard stays."""
        self._executor.shutdown()
        self._thread.join(5.0)
        self.destroy_node()

    def _follow(self, topic: str, kind: Any, on_message: Any, qos: Any, raw: bool = False) -> None:
        self._followed.add(topic)

        def heard(message: Any) -> None:
            now = time.monotonic()
            self.arrivals[topic].came(now)
            on_message(message, now)

        self.create_subscription(kind, topic, heard, qos, raw=raw)

    def _follow_new(self) -> None:
        """Raw, the rest of the graph: only that something came is of interest."""
        for topic, kinds in self.get_topic_names_and_types():
            if topic not in self._followed and "/_action/" not in topic:
                on_message = self._on_picture if topic in self._pictures else lambda message, now: None
                self._follow(topic, message_class(kinds[0]), on_message, _DEEP, raw=True)

    def _on_picture(self, message: bytes, now: float) -> None:
        self._picture_at = now

    def _on_clock(self, message: Clock, now: float) -> None:
        clock_s = message.clock.sec + 1e-9 * message.clock.nanosec
        self.clock_s = (self.clock_s[0] or clock_s, clock_s)
        self.clock_heard_s = (self.clock_heard_s[0] or now, now)

    def _on_action(self, message: Action, now: float) -> None:
        if self._picture_at:  # the cameras' topics are found a moment after the node began to listen
            self.latencies_ms["newest picture heard to action heard"].add(1e3 * (now - self._picture_at))
        self._asked[_stamp(message)] = now

    def _on_executed(self, message: Action, now: float) -> None:
        self.executed += 1
        asked = self._asked.pop(_stamp(message), None)
        if asked is not None:
            self.latencies_ms["action heard to executed action heard"].add(1e3 * (now - asked))
        if len(self._asked) > 1000:  # refused actions
            self._asked.clear()

    def _on_arm(self, message: ArmStatus, now: float) -> None:
        self.rejected = message.rejected_actions

    def _on_recorder(self, message: EpisodeStatus, now: float) -> None:
        if self._recording and not message.recording:
            self.episodes += 1
            self.dropped += message.dropped
        self._recording = message.episode_id if message.recording else ""

    def _on_policy(self, message: PolicyStatus, now: float) -> None:
        if message.enabled and message.latency_ms > 0:
            self.latencies_ms["policy node's own image to action, mean of its last seconds"].add(message.latency_ms)


def _stamp(message: Action) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def own_context() -> None:
    """ROS for the listener, in the domain of the environment."""
    rclpy.init(args=[])

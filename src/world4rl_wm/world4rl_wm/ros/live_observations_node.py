"""Subscriptions of the node `imagination`: what its contract calls an observation, and what is executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from world4rl_data.message_types import message_class
from world4rl_data.observation import message_stamp
from world4rl_interfaces.msg import Action
from world4rl_wm.imagination.dream_context import DreamContext
from world4rl_wm.imagination.live_context import LiveContext
from world4rl_wm.model.world_model import WorldModel


class LiveObservations:
    """Follows the graph for one world model at a time."""

    def __init__(self, node: Node):
        self._node = node
        self._live: LiveContext | None = None
        self._subscriptions: list[Subscription] = []

    def follow(self, model: WorldModel) -> None:
        """Listen to the topics of the model's contract. Raises ValueError where a message type is not installed."""
        contract, history = model.contract, model.history
        if self._live is not None and (self._live.contract.hash, self._live.history) == (contract.hash, history):
            return
        classes = {topic: message_class(kind) for topic, kind in contract.observation_topics.items()}
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._live = live = LiveContext(contract, history)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscriptions = [
            self._node.create_subscription(kind, topic, self._taker(live, topic), newest)
            for topic, kind in classes.items()
        ]
        every = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscriptions.append(
            self._node.create_subscription(Action, contract.executed_action_topic, self._action_taker(live), every)
        )

    def present(self) -> Callable[[], DreamContext] | None:
        """Gives the start of a dream of the moment in which this was called; None before the first world model."""
        live, now_ns = self._live, self._now_ns()
        return None if live is None else lambda: live.context(now_ns)

    def _taker(self, live: LiveContext, topic: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            now_ns = self._now_ns()
            live.push(topic, message_stamp(message, now_ns), message, now_ns)

        return take

    def _action_taker(self, live: LiveContext) -> Callable[[Action], None]:
        def take(message: Action) -> None:
            now_ns = self._now_ns()
            live.push_action(message_stamp(message, now_ns), message.values, now_ns)

        return take

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

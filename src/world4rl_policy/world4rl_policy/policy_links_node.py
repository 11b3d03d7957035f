"""What a loaded policy is connected to: the contract's observation topics, the action topic, the thread that acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy

from world4rl_data.message_types import message_class
from world4rl_data.observation import message_stamp
from world4rl_interfaces.msg import Action
from world4rl_policy.policy_loop import Decision, PolicyLoop
from world4rl_policy.policy_messages import action_message
from world4rl_policy.woken_thread import WokenThread

if TYPE_CHECKING:  # the world model's libraries take seconds to import
    from world4rl_policy.trust_watch import TrustWatch

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
EVERY = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class PolicyLinks:
    """Subscriptions hand messages to `loop`; a thread of their own acts and publishes. One per contract."""

    def __init__(
        self, node: LifecycleNode, loop: PolicyLoop, on_ended: Callable[[], None], trust: TrustWatch | None = None
    ) -> None:
        """`on_ended` is called, by the acting thread, when the policy failed.

        Raises:
            ValueError: a message type of the contract is not installed.
        """
        self._node, self._loop, self._on_ended, self._trust = node, loop, on_ended, trust
        contract = loop.contract
        types = {topic: message_class(kind) for topic, kind in contract.observation_topics.items()}
        self._action = node.create_publisher(Action, contract.action_topic, 1)
        self._thread = WokenThread("acting", self._act, self._on_error)
        self._subscriptions = [
            node.create_subscription(kind, topic, self._taker(topic), NEWEST) for topic, kind in types.items()
        ]
        if trust is not None:
            take = lambda message: trust.monitor.executed(message_stamp(message, 0), message.values)  # noqa: E731
            self._subscriptions.append(node.create_subscription(Action, contract.executed_action_topic, take, EVERY))

    def close(self) -> None:
        """Disable, and leave nothing on the graph."""
        self._loop.disable()
        self._thread.close()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._action)

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _taker(self, topic: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            now_ns = self._now_ns()
            if self._loop.take(topic, message_stamp(message, now_ns), message, now_ns):
                self._thread.wake()

        return take

    def _act(self) -> None:
        was_enabled = self._loop.enabled
        decision = self._loop.act(self._now_ns, self._send)
        if decision is not None and self._trust is not None:
            self._trust.acted(decision.observation)
        elif decision is None and was_enabled and not self._loop.enabled:
            self._on_ended()

    def _send(self, decision: Decision) -> None:
        self._action.publish(action_message(decision, self._loop.contract.base_frame))

    def _on_error(self, error: Exception) -> None:
        if not self._node.context.ok():
            return  # the signal came in the middle of an action: what failed is only that ROS is gone
        self._loop.fail(f"acting failed ({type(error).__name__}: {error})")
        self._on_ended()

"""What the policy node tells about itself: `~/status` at every change and once a second, diagnostics once a second."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile

from world4rl_interfaces.msg import PolicyStatus
from world4rl_policy.action_statistics import ActionReport
from world4rl_policy.policy_messages import diagnostics_message, status_message

if TYPE_CHECKING:  # torch takes seconds to import
    from world4rl_policy.policy_loop import PolicyLoop
    from world4rl_policy.trust_watch import TrustWatch

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PERIOD_S = 1.0


@dataclass(frozen=True)
class PolicyState:
    """The node at a moment; `problem` says why it does not act or would not."""

    checkpoint: str
    problem: str
    loop: PolicyLoop | None
    trust: TrustWatch | None


class PolicyReporter:
    """Publishers of status and diagnostics. `publish_status` may be called by any thread."""

    def __init__(self, node: LifecycleNode, state: Callable[[], PolicyState]) -> None:
        self._node, self._state = node, state
        self._status = node.create_publisher(PolicyStatus, "~/status", LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        node.create_timer(PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish_status(self) -> None:
        self._publish(self._state())

    def _report(self) -> None:
        state = self._state()
        status, report = self._publish(state)
        more = {} if state.trust is None else state.trust.told()
        self._diagnostics.publish(diagnostics_message(status, report, more))

    def _publish(self, state: PolicyState) -> tuple[PolicyStatus, ActionReport | None]:
        now, loop = self._node.get_clock().now(), state.loop
        enabled, report, uncertainty = False, None, math.nan
        if loop is not None:
            enabled, uncertainty = loop.enabled, loop.runner.uncertainty
            report = loop.statistics.report(now.nanoseconds)
        status = status_message(state.checkpoint, enabled, state.problem, report, uncertainty, now.to_msg())
        self._status.publish(status)
        return status, report

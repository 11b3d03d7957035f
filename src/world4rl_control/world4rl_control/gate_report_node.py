"""What the `arm_gate` node says about itself: `~/status` whenever it changes, `/diagnostics` once a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from world4rl_control.arm_control import ArmControl
from world4rl_control.instant import Instant
from world4rl_control.last_words_node import await_acknowledged
from world4rl_data.diagnostic_messages import diagnostic_array
from world4rl_data.episode import ActionSource
from world4rl_interfaces.msg import ArmStatus

_DIAGNOSTICS_PERIOD_S = 1.0
_ACKED_S = 0.25
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class GateReport:
    """`notes` adds lines to the diagnostics: name -> function that gives what is wrong, "" for ok."""

    def __init__(self, node: Node, control: ArmControl) -> None:
        self._node, self._control = node, control
        self.notes: dict[str, Callable[[], str]] = {}
        self._status = node.create_publisher(ArmStatus, "~/status", _LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self._told: tuple[Any, ...] = ()
        self._diagnosed_s = 0.0

    def status(self, now: Instant) -> None:
        """Publish the status where it differs from the last one."""
        gate = self._control.gate
        state = (gate.enabled, int(gate.active_source), self._control.reason(now), gate.rejected)
        if state == self._told:
            return
        self._told = state
        enabled, source, reason, rejected = state
        status = ArmStatus(enabled=enabled, active_source=source, reason=reason, rejected_actions=rejected)
        status.header.stamp = self._node.get_clock().now().to_msg()
        self._status.publish(status)

    def flush(self) -> None:
        """Wait until whoever listens has the last status, for a moment at most: they may be ending as well."""
        await_acknowledged(self._node, self._status, _ACKED_S)

    def tick(self, now: Instant) -> None:
        """Call regularly."""
        self.status(now)
        if now.steady_s - self._diagnosed_s < _DIAGNOSTICS_PERIOD_S:
            return
        self._diagnosed_s = now.steady_s
        enabled, source, reason, rejected = self._told
        notes = {name: note() for name, note in self.notes.items()}
        values = {"enabled": enabled, "active_source": source, "rejected_actions": rejected}
        ages_s = self._control.stamps.ages_s
        values |= {f"age_s_{who.name.lower()}": f"{ages_s[who]:.3f}" for who in ActionSource if who in ages_s}
        values |= {name: note or "ok" for name, note in notes.items()}
        problem = reason or next((note for note in notes.values() if note), "")
        stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostic_array(self._node.get_fully_qualified_name(), stamp, problem, values))

"""Tells the graph how the recorder stands: `~/status` (latched) and `/diagnostics`."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from world4rl_interfaces.msg import EpisodeStatus

from .recorder import EpisodeRecorder
from .recorder_status_messages import diagnostics, episode_status, full_message


class RecorderReport:
    """Publishers of status and diagnostics."""

    def __init__(self, node: Node) -> None:
        self._node = node
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._status = node.create_publisher(EpisodeStatus, "~/status", latched)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 1)

    def publish(self, recorder: EpisodeRecorder, notes: Sequence[str]) -> None:
        """Publish both. `notes`: what of which topic cannot be recorded."""
        status, dropped = recorder.status(), recorder.dropped
        name, stamp = self._node.get_fully_qualified_name(), self._node.get_clock().now().to_msg()
        self._status.publish(episode_status(status, full_message(status, dropped, notes), stamp))
        self._diagnostics.publish(diagnostics(name, status, dropped, notes, stamp))

"""Tells the graph how the recorder stands: `~/status` (latched), `/diagnostics`, and the log where a topic dies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from world4rl_interfaces.msg import EpisodeStatus

from .recorder import EpisodeRecorder
from .recorder_status_messages import diagnostics, episode_status, full_message


class RecorderReport:
    """Publishers of status and diagnostics. The log is told of a silent topic once, not each time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._status = node.create_publisher(EpisodeStatus, "~/status", latched)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self._silent: set[str] = set()

    def publish(self, recorder: EpisodeRecorder, notes: Sequence[str], silent: Mapping[str, str]) -> None:
        """Publish both. `notes`: what of which topic cannot be recorded; `silent`: topic to a line, of those that the
        running episode lacks."""
        self._log_changes(silent, recorder.recording)
        notes = [*silent.values(), *notes]
        status, dropped = recorder.status(), recorder.dropped
        name, stamp = self._node.get_fully_qualified_name(), self._node.get_clock().now().to_msg()
        self._status.publish(episode_status(status, full_message(status, dropped, notes), stamp))
        self._diagnostics.publish(diagnostics(name, status, dropped, notes, stamp))

    def _log_changes(self, silent: Mapping[str, str], recording: bool) -> None:
        log = self._node.get_logger()
        for topic in silent.keys() - self._silent:
            log.warning(f"while recording: {silent[topic]}")
        for topic in self._silent - silent.keys():
            if recording:
                log.info(f"{topic} is there again")
        self._silent = set(silent)

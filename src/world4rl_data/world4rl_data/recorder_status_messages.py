"""The recorder's state as ROS messages. No rclpy in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from world4rl_interfaces.msg import EpisodeStatus

from .diagnostic_messages import diagnostic_array
from .recorder import RecorderStatus


def full_message(status: RecorderStatus, dropped: Mapping[str, int], notes: Sequence[str]) -> str:
    """What a person should know: trouble first, then what was lost by topic, then what cannot be recorded."""
    lost = ", ".join(f"{topic} {count}" for topic, count in sorted(dropped.items()) if count)
    return "; ".join([part for part in (status.message, lost and f"lost: {lost}", *notes) if part])


def episode_status(status: RecorderStatus, message: str, stamp: Any) -> EpisodeStatus:
    """For `~/status`."""
    filled = EpisodeStatus(
        episode_id=status.episode_id,
        task=status.task,
        recording=status.recording,
        outcome=int(status.outcome),
        messages=status.messages,
        dropped=status.dropped,
        seconds=status.seconds,
        message=message,
    )
    filled.header.stamp = stamp
    return filled


def diagnostics(
    name: str, status: RecorderStatus, dropped: Mapping[str, int], notes: Sequence[str], stamp: Any
) -> DiagnosticArray:
    """For `/diagnostics`: WARN with the reason where something is lost or cannot be recorded."""
    problem = full_message(status, dropped, notes)
    values = {
        "recording": status.recording,
        "episode": status.episode_id,
        "messages": status.messages,
        "seconds": f"{status.seconds:.1f}",
        **{f"dropped {topic}": count for topic, count in sorted(dropped.items())},
    }
    return diagnostic_array(name, stamp, problem, values, "recording" if status.recording else "idle")

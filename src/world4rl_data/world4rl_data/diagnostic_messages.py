"""A node's state for `/diagnostics`. No rclpy in here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue


def diagnostic_array(
    name: str, stamp: Any, problem: str, values: Mapping[str, object], well: str = "ok"
) -> DiagnosticArray:
    """One status: WARN with what is wrong, else OK with what `well` says; `values` for a person to read."""
    level = DiagnosticStatus.WARN if problem else DiagnosticStatus.OK
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    array = DiagnosticArray(status=[DiagnosticStatus(level=level, name=name, message=problem or well, values=pairs)])
    array.header.stamp = stamp
    return array

"""Help for the nodes of this package: parameter descriptions, message types by name, diagnostics. No rclpy in here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor


def describe(text: str) -> ParameterDescriptor:
    """Description of a parameter that is set at the start."""
    return ParameterDescriptor(description=text, read_only=True)


def message_type(name: str) -> Any:
    """The message class behind a name like `sensor_msgs/msg/Image`. Raises ValueError when its package is missing."""
    package, _, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no message type {name}: install and source its package ({package})") from error


def diagnostics(name: str, stamp: Any, problem: str, values: Mapping[str, object]) -> DiagnosticArray:
    """One status: OK, or WARN with what is wrong; `values` for a person to read."""
    level = DiagnosticStatus.WARN if problem else DiagnosticStatus.OK
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    array = DiagnosticArray(status=[DiagnosticStatus(level=level, name=name, message=problem or "ok", values=pairs)])
    array.header.stamp = stamp
    return array

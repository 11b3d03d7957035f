"""Help for the nodes of this package: parameter descriptions, message types by name, diagnostics. No rclpy in here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


def describe(text: str, low: float | None = None, high: float | None = None) -> ParameterDescriptor:
    """Description of a parameter that is set at the start; with its range, both ends included, where it is a number.

    The type of `low` and `high` is the parameter's: two int for an integer, two float for a real number.
    """
    descriptor = ParameterDescriptor(description=text, read_only=True)
    if isinstance(low, int) and isinstance(high, int):
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    elif low is not None and high is not None:
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    return descriptor


def message_type(name: str) -> Any:
    """The class behind a name like `sensor_msgs/msg/Image`, or a service. Raises ValueError: its package is missing."""
    package, folder, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{folder}"), kind)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no message type {name}: install and source its package ({package})") from error


def diagnostics(name: str, stamp: Any, problem: str, values: Mapping[str, object]) -> DiagnosticArray:
    """One status: OK, or WARN with what is wrong; `values` for a person to read."""
    level = DiagnosticStatus.WARN if problem else DiagnosticStatus.OK
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    array = DiagnosticArray(status=[DiagnosticStatus(level=level, name=name, message=problem or "ok", values=pairs)])
    array.header.stamp = stamp
    return array

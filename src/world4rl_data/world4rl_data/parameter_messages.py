"""Descriptions of nodes' parameters as ROS messages. No rclpy in here."""

from __future__ import annotations

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


def describe(
    text: str, low: float | None = None, high: float | None = None, *, read_only: bool = True
) -> ParameterDescriptor:
    """What a parameter is; with its range, both ends included, where it is a number. Read only: set at the start.

    The type of `low` and `high` is the parameter's: two int for an integer, two float for a real number.
    """
    descriptor = ParameterDescriptor(description=text, read_only=read_only)
    if isinstance(low, int) and isinstance(high, int):
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    elif low is not None and high is not None:
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    return descriptor

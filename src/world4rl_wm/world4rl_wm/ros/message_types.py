"""ROS message classes by the names that a task contract writes."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def message_class(type_name: str) -> Any:
    """The class of e.g. `sensor_msgs/msg/Image`.

    Raises:
        ValueError: the name is malformed, or its package is not installed.
    """
    parts = type_name.split("/")
    try:
        package, interface, name = parts
        return getattr(import_module(f"{package}.{interface}"), name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ValueError(
            f"message type '{type_name}' is not known here ({error}): write it as package/msg/Name in the contract "
            f"and install its package"
        ) from error

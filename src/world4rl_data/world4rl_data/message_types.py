"""ROS message classes by their names, such as a task contract writes them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def message_class(type_name: str) -> Any:
    """The class of e.g. `sensor_msgs/msg/Image`, or of a service.

    Raises:
        ValueError: the name is malformed, or its package is not installed.
    """
    try:
        package, interface, name = type_name.split("/")
        return getattr(import_module(f"{package}.{interface}"), name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ValueError(
            f"message type '{type_name}' is not known here ({error}): write it as package/msg/Name, and install and "
            f"source its package"
        ) from error

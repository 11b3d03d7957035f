"""Runs one node of this package until it is told to end."""

from __future__ import annotations

from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node


def spin_until_shutdown(name: str, make: Callable[[], Node], args: list[str] | None = None) -> None:
    """Make a node and serve it until SIGINT or SIGTERM. A ValueError of `make` (an unusable contract or parameter) ends
    the process with its message."""
    rclpy.init(args=args)
    try:
        try:
            node = make()
        except ValueError as error:
            raise SystemExit(f"{name}: {error}") from None
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():
            raise
        # The signal came in the middle of a callback: what failed is only that ROS is gone.
    finally:
        rclpy.try_shutdown()

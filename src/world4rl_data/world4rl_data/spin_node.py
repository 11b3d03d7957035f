"""Runs a node until it is told to end, and ends it quietly whatever it was doing at that moment."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node


def leave_signals_to_ros() -> None:
    """From now on SIGINT shuts ROS down, as SIGTERM does, and interrupts nothing in Python, so that no second signal
    breaks off what a node does at its end. Call it in the main thread right before `rclpy.init`."""
    signal.signal(signal.SIGINT, lambda number, frame: None)


@contextmanager
def until_shutdown(context: Context | None = None) -> Iterator[None]:
    """What serves ROS inside is ended by SIGINT, SIGTERM or a shutdown of `context` (default: the global one) without a
    complaint, also where these come in the middle of a callback; what fails before them is raised."""
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok(context=context):
            raise
        # A callback was using ROS when it went: that it is gone is all that failed.


def spin_until_shutdown(name: str, make: Callable[[], Node], args: list[str] | None = None) -> None:
    """Make a node and serve it, all callbacks in this thread, until SIGINT or SIGTERM. A ValueError of `make` (an
    unusable contract or parameter) ends the process with its message."""
    rclpy.init(args=args)
    try:
        with until_shutdown():
            try:
                node = make()
            except ValueError as error:
                raise SystemExit(f"{name}: {error}") from None
            rclpy.spin(node)
    finally:
        rclpy.try_shutdown()

"""Runs a node until it is told to end, and ends it quietly whatever it was doing at that moment."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

_HEAR_S = 0.05  # how long a signal may wait for a node that has nothing to do
_PATIENCE_S = 1.0  # more than `at_end` takes

N = TypeVar("N", bound=Node)


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
            rclpy.spin(_made(name, make))
    finally:
        rclpy.try_shutdown()


def spin_until_told(
    name: str, make: Callable[[], N], at_end: Callable[[N], None], args: list[str] | None = None
) -> None:
    """As `spin_until_shutdown`, for a node that has something to say at its end.

    SIGINT and SIGTERM are heard between two callbacks. `at_end` then gets the node while ROS still works, and also
    where a callback fails. Told once more a second later or after, it ends at once, for what it does just then hangs.

    Raises:
        KeyboardInterrupt: it had to be told twice.
    """
    told: list[float] = []

    def hear(_number: int, _frame: object) -> None:
        told.append(time.monotonic())
        if told[-1] - told[0] > _PATIENCE_S:  # a runner and the terminal often tell in the same moment
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hear)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = _made(name, make)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            while not told:
                executor.spin_once(timeout_sec=_HEAR_S)
        finally:
            at_end(node)
    finally:
        rclpy.try_shutdown()


def _made(name: str, make: Callable[[], N]) -> N:
    try:
        return make()
    except ValueError as error:
        raise SystemExit(f"{name}: {error}") from None

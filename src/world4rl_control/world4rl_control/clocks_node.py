"""The clocks of a node that moves an arm."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from world4rl_control.instant import Instant


def instant_of(node: Node) -> Instant:
    """This moment, by the clocks of a node."""
    clock = node.get_clock()
    return Instant(clock.now().nanoseconds * 1e-9, time.monotonic(), clock.ros_time_is_active)


def timing_clock(node: Node) -> Clock:
    """For timers: the clock behind Instant.timing_s. One on the machine's own clock sleeps for as long as that is set
    back."""
    clock = node.get_clock()
    return clock if clock.ros_time_is_active else Clock(clock_type=ClockType.STEADY_TIME)

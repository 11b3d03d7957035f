"""The clocks of a node that moves an arm."""

from __future__ import annotations

import time

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter

from world4rl_control.instant import Instant

_USE_SIM_TIME = "use_sim_time"


def settle_clock(node: Node) -> None:
    """From now on `use_sim_time` of a node stays what it is: another value is refused with the mend, and logged.

    ROS changes the node's clock at run time, but what began on the one clock (timers, ages, the pace of a target on its
    way) would end on the other.
    """
    settled = node.get_parameter(_USE_SIM_TIME).value

    def refuse(parameters: list[Parameter]) -> SetParametersResult:
        if not any(p.name == _USE_SIM_TIME and p.value != settled for p in parameters):
            return SetParametersResult(successful=True)
        other = str(not settled).lower()
        reason = f"{_USE_SIM_TIME} is settled when a node starts: start it again with -p {_USE_SIM_TIME}:={other}"
        node.get_logger().error(f"parameters not set: {reason}")
        return SetParametersResult(successful=False, reason=reason)

    node.add_on_set_parameters_callback(refuse)  # ROS asks the newest first: its own switches the clock


def instant_of(node: Node) -> Instant:
    """This moment, by the clocks of a node."""
    clock = node.get_clock()
    return Instant(clock.now().nanoseconds * 1e-9, time.monotonic(), clock.ros_time_is_active)


def timing_clock(node: Node) -> Clock:
    """For timers of a node whose clock is settled: the one behind Instant.timing_s. A timer on the machine's own clock
    sleeps for as long as that is set back."""
    clock = node.get_clock()
    return clock if clock.ros_time_is_active else Clock(clock_type=ClockType.STEADY_TIME)

"""Whether MoveIt Servo reads the gate's twists in m/s and rad/s: by default it does not, and scales them instead."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from world4rl_control.instant import Instant

_PARAMETER, _WANTED = "moveit_servo.command_in_type", "speed_units"
_ASK_PERIOD_S = 1.0


class ServoUnits:
    """Asks Servo for its parameter, without waiting, until it says speed_units, and anew once Servo has gone away."""

    def __init__(self, node: Node, command_topic: str) -> None:
        self._said = ""  # empty: not known
        self._client = node.create_client(GetParameters, command_topic.rpartition("/")[0] + "/get_parameters")
        node.create_timer(_ASK_PERIOD_S, self._ask, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def wrong(self, _now: Instant) -> str:
        """Why the arm must not move: the gate's speed limits mean nothing in other units."""
        if self._said in ("", _WANTED):
            return ""
        return f"MoveIt Servo's {_PARAMETER} is {self._said!r}, not {_WANTED}: start Servo with that"

    def unknown(self, _now: Instant) -> str:
        """What could not be checked; empty when it could."""
        if self._said:
            return ""
        return f"{self._client.srv_name} did not tell {_PARAMETER}, which must be {_WANTED}: look yourself"

    def _ask(self) -> None:
        if not self._client.service_is_ready():
            self._said = ""
        elif self._said != _WANTED:
            self._client.call_async(GetParameters.Request(names=[_PARAMETER])).add_done_callback(self._answered)

    def _answered(self, answer: Any) -> None:
        result = answer.result()
        # A parameter that is not set is an empty string here, and one that is not declared may be no entry at all.
        self._said = result.values[0].string_value if result is not None and result.values else ""

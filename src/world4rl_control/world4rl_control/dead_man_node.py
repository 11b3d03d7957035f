"""The dead-man button of the `arm_gate` node: a button of a joystick that somebody must hold while the arm moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Joy

from world4rl_control.arm_control import ArmControl
from world4rl_control.silence import Confirmed, DeadMan
from world4rl_data.parameter_messages import describe

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "dead_man_topic": ("", "sensor_msgs/Joy with the dead-man button, e.g. /joy; empty: none is asked for."),
    "dead_man_button": (
        10,
        "Which button of dead_man_topic must be held (10: right shoulder of a game controller).",
        0,
        63,
    ),
    "dead_man_timeout_s": (0.25, "Silence of dead_man_topic that counts as released [s].", 0.05, 5.0),
}


def connect_dead_man(node: Node, control: ArmControl, on_fault: Callable[[], None]) -> None:
    """Declare the parameters; with a topic, released or silent stops the arm, whoever moves it."""
    for name, (value, text, *span) in _PARAMETERS.items():
        node.declare_parameter(name, value, describe(text, *span))
    topic = node.get_parameter("dead_man_topic").value
    if not topic:
        return
    button, timeout_s = node.get_parameter("dead_man_button").value, node.get_parameter("dead_man_timeout_s").value
    dead_man = DeadMan(int(button), float(timeout_s), topic)
    control.faults.append(dead_man.released)
    control.silences.append(Confirmed(dead_man.silent))

    def see(message: Joy) -> None:
        dead_man.see(list(message.buttons), time.monotonic())
        on_fault()

    node.create_subscription(Joy, topic, see, _NEWEST)

"""`teleop` node: a person's hand as a source of actions (HUMAN), one per control period while the dead-man is held."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Joy

from world4rl_control.clocks_node import settle_clock, timing_clock
from world4rl_control.teleop_action import TeleopAction, TeleopSpeed
from world4rl_control.teleop_axes import TeleopMap
from world4rl_control.teleop_buttons import TeleopEvent
from world4rl_control.teleop_joystick import JoystickConfig, JoystickMap
from world4rl_control.teleop_keyboard import KeyboardMap
from world4rl_control.teleop_services_node import TeleopServices
from world4rl_control.teleop_spacemouse import SpaceMouseConfig, SpaceMouseMap
from world4rl_control.teleop_table import key_help
from world4rl_control.teleop_terminal import Terminal
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource
from world4rl_data.parameter_messages import describe
from world4rl_data.spin_node import spin_until_shutdown
from world4rl_interfaces.msg import Action, ArmStatus

_DEVICES = ("spacemouse", "joystick", "keyboard")
_SILENT_PERIODS = 1.5  # default time-out of a device, in control periods: actions end before two have passed
_KEY_POLL_S = 0.02
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "contract": ("", "Task contract: a shipped name or the path of a YAML file."),
    "device": ("spacemouse", f"The hand's device: one of {', '.join(_DEVICES)}."),
    "translation_speed": (0.5, "Full deflection moves by this part of the contract's scale.", 0.0, 1.0),
    "rotation_speed": (0.5, "Full deflection turns by this part of the contract's scale; 0: never.", 0.0, 1.0),
    "dead_zone": (0.1, "Deflection of stick or puck that counts as none.", 0.0, 0.9),
    "inverted": ([""], "Directions that go the other way, such as [dx, dy] for an operator who faces the robot."),
    "input_timeout_s": (0.0, "Silence of the device that ends the actions [s]; 0: 1.5 control periods.", 0.0, 1.0),
    "key_timeout_s": (0.2, "A key that has not repeated for this long counts as let go [s].", 0.05, 1.0),
    "joy_topic": ("/joy", "sensor_msgs/Joy of the joystick."),
    "spacemouse_twist_topic": ("/spacenav/twist", "geometry_msgs/Twist of the SpaceMouse's puck."),
    "spacemouse_joy_topic": ("/spacenav/joy", "sensor_msgs/Joy with the SpaceMouse's buttons."),
}


class TeleopNode(Node):
    """Publishes nothing while the dead-man is not held: the gate then holds the arm, and keeps it for the human."""

    def __init__(self, parameters: list[Parameter] | None = None, terminal: Terminal | None = None) -> None:
        super().__init__("teleop", parameter_overrides=parameters or [])
        settle_clock(self)
        for name, (value, text, *span) in _PARAMETERS.items():
            self.declare_parameter(name, value, describe(text, *span))
        for prefix, config in (("joystick", JoystickConfig), ("spacemouse", SpaceMouseConfig)):
            for f in fields(config):
                about = describe(f"Index of the {prefix}'s {f.name}; -1: none.", -1, 63)
                self.declare_parameter(f"{prefix}_{f.name}", f.default, about)
        contract = TaskContract.load(self._value("contract"))
        self._contract, self._terminal = contract, terminal
        self._timeout_s = self._value("input_timeout_s") or _SILENT_PERIODS * contract.period_s
        inverted = tuple(name for name in self._value("inverted") if name)
        speed = TeleopSpeed(self._value("translation_speed"), self._value("rotation_speed"), inverted)
        self._action = TeleopAction(contract, speed)
        self._held = self._enabled = False
        self._map = self._listen(self._value("device"))
        self._buttons = TeleopServices(self)
        self._actions = self.create_publisher(Action, contract.action_topic, 1)
        self.create_subscription(Action, contract.executed_action_topic, self._on_executed, 10)
        self.create_subscription(ArmStatus, "arm_gate/status", self._on_gate, _LATCHED)
        self.create_timer(contract.period_s, self._act, clock=timing_clock(self))

    def _listen(self, device: str) -> TeleopMap:
        """Subscribe to the device and return its map. Raises ValueError for an unknown one, or without a terminal."""
        zone = self._value("dead_zone")
        if device == "joystick":
            joystick = JoystickMap(self._timeout_s, zone, JoystickConfig(**self._indices("joystick", JoystickConfig)))
            self._hear(Joy, "joy_topic", lambda m, now_s: joystick.see(m.axes, m.buttons, now_s))
            return joystick
        if device == "spacemouse":
            config = SpaceMouseConfig(**self._indices("spacemouse", SpaceMouseConfig))
            mouse = SpaceMouseMap(self._timeout_s, zone, config)
            twists = self._value("spacemouse_twist_topic")
            self.create_subscription(Twist, twists, lambda m: mouse.see_twist(_six(m), time.monotonic()), 10)
            self._hear(Joy, "spacemouse_joy_topic", lambda m, now_s: mouse.see_buttons(m.buttons, now_s))
            return mouse
        if device == "keyboard":
            self._terminal = self._terminal or Terminal()
            self.get_logger().info(key_help())
            self._keys = self.create_timer(_KEY_POLL_S, self._read_keys, clock=Clock(clock_type=ClockType.STEADY_TIME))
            return KeyboardMap(self._value("key_timeout_s"))
        raise ValueError(f"parameter device is {device!r}: use one of {', '.join(_DEVICES)}")

    def _indices(self, prefix: str, config: Any) -> dict[str, int]:
        return {f.name: self._value(f"{prefix}_{f.name}") for f in fields(config)}

    def _hear(self, kind: Any, parameter: str, see: Callable[[Any, float], tuple[TeleopEvent, ...]]) -> None:
        self.create_subscription(kind, self._value(parameter), lambda m: self._do(see(m, time.monotonic())), 10)

    def _read_keys(self) -> None:
        try:
            keys = self._terminal.read()  # type: ignore[union-attr]
        except EOFError as error:
            self.get_logger().error(f"{error}: no more actions; start teleop again")
            self._keys.cancel()
            return
        self._do(self._map.see(keys, time.monotonic()))  # type: ignore[attr-defined]

    def _do(self, events: tuple[TeleopEvent, ...]) -> None:
        for event in events:
            if event is not TeleopEvent.GRIPPER:
                self._buttons.call(event)
            elif self._map.wish(time.monotonic()) is not None:
                self.get_logger().info(self._action.toggle())
            else:
                self.get_logger().warning("gripper: hold the dead-man as well")

    def _on_executed(self, action: Action) -> None:
        # While a person drives, the gripper is theirs: an action still on its way must not undo a toggle. Before a
        # toggle nothing is known after enabling, and the gate tells what it has measured.
        if self._map.wish(time.monotonic()) is None or not self._action.hand_known:
            self._action.see_executed(action.values)

    def _on_gate(self, status: ArmStatus) -> None:
        """While the gate was disabled the hand may have been homed, or moved by its driver's buttons."""
        if status.enabled != self._enabled:  # either way: the first action after enabling may be ahead of this message
            self._action.forget()
        self._enabled = status.enabled

    def _act(self) -> None:
        wish = self._map.wish(time.monotonic())
        if self._map.problem:
            self.get_logger().error(self._map.problem, throttle_duration_sec=5.0)
        if (wish is not None) != self._held:
            self._held = wish is not None
            self.get_logger().info("the hand has the arm" if self._held else "the hand has let go")
        if wish is None:
            return
        action = Action(values=self._action.values(wish), source=int(ActionSource.HUMAN))
        action.header.stamp, action.header.frame_id = self.get_clock().now().to_msg(), self._contract.base_frame
        self._actions.publish(action)

    def close(self) -> None:
        """Give the terminal back."""
        if self._terminal is not None:
            self._terminal.close()

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def _six(twist: Twist) -> np.ndarray:
    linear, angular = twist.linear, twist.angular
    return np.array((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z))


def main(args: list[str] | None = None) -> None:
    """Entry point of `ros2 run world4rl_control teleop`; the terminal is given back however the node ends."""
    nodes: list[TeleopNode] = []

    def make() -> TeleopNode:
        nodes.append(TeleopNode())
        return nodes[-1]

    try:
        spin_until_shutdown("teleop", make, args)
    finally:
        for node in nodes:
            node.close()


if __name__ == "__main__":
    main()

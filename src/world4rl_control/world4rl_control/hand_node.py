"""The hand's side of the `arm_gate` node: parameters, and clients of the gripper's driver."""

from __future__ import annotations

from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node
from std_srvs.srv import Trigger

from world4rl_control.command_gripper import CommandGripper
from world4rl_control.franka_gripper import FrankaClients, FrankaGripper
from world4rl_control.hand import DrivenHand, Hand, NoHand
from world4rl_data.contract import Gripper
from world4rl_data.parameter_messages import describe

_KINDS = ("auto", "franka", "control_msgs", "none")
_ANY_WIDTH_M = 0.08  # a grasp with this epsilon counts whatever it holds
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "gripper": ("auto", "Actions of the gripper: auto (franka_msgs where installed, else control_msgs), or one of "
                "franka, control_msgs, none."),
    "gripper_namespace": ("", "Namespace of the gripper's driver; empty: the contract's."),
    "gripper_force_n": (30.0, "Force of a grasp [N].", 0.0, 140.0),
    "gripper_speed_m_s": (0.1, "Speed of the fingers, franka only [m/s].", 0.001, 0.2),
    "gripper_action": ("", "control_msgs only: the action's name; empty: gripper_action in the gripper's namespace."),
    "gripper_open_position": (0.039, "control_msgs only: position that means open [m]; franka_gripper takes the way of "
                              "one finger and refuses more than its maximum.", -10.0, 10.0),
    "gripper_closed_position": (0.0, "control_msgs only: position that means closed [m].", -10.0, 10.0),
}  # fmt: skip


def connect_hand(node: Node, gripper: Gripper) -> Hand:
    """Declare the hand's parameters on a node and connect to the driver that they choose.

    Raises ValueError for an unknown choice. A missing message package is no error: the hand then has a `refusal`.
    """
    for name, (value, text, *span) in _PARAMETERS.items():
        node.declare_parameter(name, value, describe(text, *span))
    kind = node.get_parameter("gripper").value
    if kind not in _KINDS:
        raise ValueError(f"parameter gripper is {kind!r}: use one of {', '.join(_KINDS)}")
    if kind == "none":
        return NoHand("no gripper, as the parameter gripper is none: choose a driver", wanted=False)
    namespace = node.get_parameter("gripper_namespace").value or gripper.namespace
    tried: list[str] = []
    for name, connect in (("franka", _franka), ("control_msgs", _command)):
        if kind in ("auto", name):
            try:
                return DrivenHand(connect(node, gripper, namespace))
            except ImportError as error:
                tried.append(str(error.name).partition(".")[0])
    return NoHand(f"no gripper, which needs {' or '.join(tried)}: install and source it", wanted=True)


def _franka(node: Node, gripper: Gripper, namespace: str) -> FrankaGripper:
    from franka_msgs.action import Grasp, Homing, Move

    force, speed = node.get_parameter("gripper_force_n").value, node.get_parameter("gripper_speed_m_s").value

    def goal(what: str) -> Any:
        if what == "stop":
            return Trigger.Request()
        if what == "home":
            return Homing.Goal()
        if what == "open":
            return Move.Goal(width=gripper.open_width_m, speed=speed)
        closed = Grasp.Goal(width=0.0, speed=speed, force=force)
        closed.epsilon.inner = closed.epsilon.outer = _ANY_WIDTH_M
        return closed

    clients = FrankaClients(
        ActionClient(node, Move, f"{namespace}/move"),
        ActionClient(node, Grasp, f"{namespace}/grasp"),
        ActionClient(node, Homing, f"{namespace}/homing"),
        node.create_client(Trigger, f"{namespace}/stop"),
    )
    return FrankaGripper(clients, goal)


def _command(node: Node, _gripper: Gripper, namespace: str) -> CommandGripper:
    from control_msgs.action import GripperCommand

    force = node.get_parameter("gripper_force_n").value
    places = {what: node.get_parameter(f"gripper_{what}_position").value for what in ("open", "closed")}

    def goal(what: str) -> Any:
        command = GripperCommand.Goal()
        command.command.position = places["open" if what == "open" else "closed"]
        command.command.max_effort = force
        return command

    name = node.get_parameter("gripper_action").value or f"{namespace}/gripper_action"
    return CommandGripper(ActionClient(node, GripperCommand, name), goal)

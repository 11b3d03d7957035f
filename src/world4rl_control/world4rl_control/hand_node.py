"""The hand's side of the `arm_gate` node: clients of its driver."""

from __future__ import annotations

from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node
from std_srvs.srv import Trigger

from world4rl_control.franka_gripper import FrankaGripper
from world4rl_data.contract import Gripper

_GRASP_FORCE_N, _GRASP_SPEED_M_S, _MOVE_SPEED_M_S = 30.0, 0.1, 0.1
_ANY_WIDTH_M = 0.08  # a grasp with this epsilon counts whatever it holds


def connect_gripper(node: Node, gripper: Gripper, namespace: str) -> FrankaGripper | None:
    """Clients of the Franka hand under `namespace`; None when franka_msgs is not installed."""
    try:
        from franka_msgs.action import Grasp, Move
    except ImportError:
        return None

    def goal(what: str) -> Any:
        if what == "stop":
            return Trigger.Request()
        if what == "open":
            return Move.Goal(width=gripper.open_width_m, speed=_MOVE_SPEED_M_S)
        closed = Grasp.Goal(width=0.0, speed=_GRASP_SPEED_M_S, force=_GRASP_FORCE_N)
        closed.epsilon.inner = closed.epsilon.outer = _ANY_WIDTH_M
        return closed

    return FrankaGripper(
        ActionClient(node, Move, f"{namespace}/move"),
        ActionClient(node, Grasp, f"{namespace}/grasp"),
        node.create_client(Trigger, f"{namespace}/stop"),
        goal,
    )

"""ROS side of the simulated hand: franka_gripper's actions and its stop button."""

from __future__ import annotations

import math
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from .arm import OPEN_WIDTH_M, SimArm
from .gripper_goal import GripperGoal

try:
    from franka_msgs.action import Grasp, Homing, Move
except ImportError:  # a machine without franka_msgs can still simulate tasks with a fixed hand
    Grasp = Homing = Move = None

_RESULT_TIMEOUT_S = 60


class GripperServer:
    """Runs at most one goal; a new goal, `stop` and a reset of the arm end the one before it."""

    def __init__(self, node: Node, arm: SimArm, namespace: str) -> None:
        self._node, self._arm = node, arm
        self._active: tuple[GripperGoal, Any, Future, Any] | None = None
        self._servers: list[ActionServer] = []
        node.create_service(Trigger, f"{namespace}/stop", self._on_stop)
        if Move is None:
            node.get_logger().warning("franka_msgs is not importable: the simulated hand has no move, grasp and homing")
            return
        for name, kind in (("move", Move), ("grasp", Grasp), ("homing", Homing)):
            server = ActionServer(
                node,
                kind,
                f"{namespace}/{name}",
                getattr(self, f"_execute_{name}"),
                cancel_callback=lambda _: CancelResponse.ACCEPT,
                result_timeout=_RESULT_TIMEOUT_S,
            )
            self._servers.append(server)

    async def _execute_move(self, handle: Any) -> Any:
        return await self._execute(handle, Move, GripperGoal("move", handle.request.width))

    async def _execute_grasp(self, handle: Any) -> Any:
        request = handle.request
        goal = GripperGoal("grasp", request.width, request.epsilon.inner, request.epsilon.outer)
        return await self._execute(handle, Grasp, goal)

    async def _execute_homing(self, handle: Any) -> Any:
        return await self._execute(handle, Homing, GripperGoal("homing", OPEN_WIDTH_M))

    async def _execute(self, handle: Any, kind: Any, goal: GripperGoal) -> Any:
        """Starts the fingers and waits, without blocking the node, until `update` or `abort` ends the goal."""
        result = kind.Result()
        if not math.isfinite(goal.width) or not 0.0 <= goal.width <= OPEN_WIDTH_M + 0.005:
            handle.abort()
            result.error = f"width must be 0 to {OPEN_WIDTH_M} m, got {goal.width}"
            return result
        self.abort("a newer goal came")
        # grasp closes on the object with force instead of stopping at the width
        self._arm.set_gripper_width(0.0 if goal.kind == "grasp" else goal.width)
        done = Future(executor=self._node.executor)
        self._active = (goal, handle, done, kind.Feedback())
        result.success, result.error = await done
        if handle.is_cancel_requested:
            handle.canceled()
        elif result.success:
            handle.succeed()
        else:
            handle.abort()
        return result

    def update(self) -> None:
        """Call once per control period: feedback, and the end of a goal."""
        if self._active is None:
            return
        goal, handle, done, feedback = self._active
        width = feedback.current_width = self._arm.gripper_width
        if handle.is_cancel_requested:
            self.abort("cancelled")
            self._hold()
            return
        handle.publish_feedback(feedback)
        end = goal.update(width)
        if end is not None:
            self._active = None
            done.set_result(end)

    def abort(self, reason: str) -> None:
        """Ends the goal that runs, if any, without success."""
        if self._active is not None:
            done = self._active[2]
            self._active = None
            done.set_result((False, reason))

    def _hold(self) -> None:
        self._arm.set_gripper_width(self._arm.gripper_width)

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._active is not None:
            self.abort("stopped")
            self._hold()
        response.success = True
        return response

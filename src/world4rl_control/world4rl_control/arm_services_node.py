"""Services of the `arm_gate` node around the robot's driver: `~/recover` and `~/home_gripper`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from world4rl_control.error_recovery import ErrorRecovery
from world4rl_control.hand import Hand
from world4rl_control.homing import Homing
from world4rl_data.parameter_messages import describe

_TICK_S = 0.1
_PARAMETERS: dict[str, tuple[Any, str]] = {
    "error_recovery_action": ("/action_server/error_recovery", "The driver's action that clears the robot's errors."),
    "home_gripper": (False, "Home the gripper once, as soon as its driver is there. It opens and drops what it holds."),
}


class ArmServices:
    """Declares its parameters on the node. Answers come when the driver is done; nothing blocks the executor.

    `hold` disables the gate and sends the measured pose as target, or returns why it cannot. `moving` tells whether the
    gate is enabled: then the gripper is not homed.
    """

    def __init__(self, node: Node, hand: Hand, hold: Callable[[], str], moving: Callable[[], bool]) -> None:
        for name, (value, text) in _PARAMETERS.items():
            node.declare_parameter(name, value, describe(text))
        self._node, self._log = node, node.get_logger()
        self.homing = Homing(hand, moving, at_start=node.get_parameter("home_gripper").value)
        self._homing_told = ""
        self._recovery = _connect(node, node.get_parameter("error_recovery_action").value, hold)
        group = ReentrantCallbackGroup()  # several callers may wait at once
        node.create_service(Trigger, "~/recover", self._on_recover, callback_group=group)
        node.create_service(Trigger, "~/home_gripper", self._on_home, callback_group=group)
        node.create_timer(_TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    async def _on_recover(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        ended: Future = Future(executor=self._node.executor)
        self._recovery.start(time.monotonic(), ended.set_result)
        problem = await ended
        response.success = not problem
        response.message = problem or "recovered; the gate stays disabled until ~/enable"
        if problem:  # two lines: rclpy ties the severity to the line that logs
            self._log.error(f"recover: {problem}")
        else:
            self._log.info(f"recover: {response.message}")
        return response

    async def _on_home(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        ended: Future = Future(executor=self._node.executor)
        self.homing.request(time.monotonic(), ended.set_result)
        problem = await ended
        response.success, response.message = not problem, problem or "homed"
        return response

    def _tick(self) -> None:
        now_s = time.monotonic()
        self._recovery.tick(now_s)
        self.homing.tick(now_s)
        note, told = self.homing.note, self._homing_told
        self._homing_told = note
        if note == told:
            return
        if self.homing.failed:  # two lines: rclpy ties the severity to the line that logs
            self._log.error(note)
        else:
            self._log.info(note or "the gripper is homed")


def _connect(node: Node, action: str, hold: Callable[[], str]) -> ErrorRecovery:
    try:
        from franka_msgs.action import ErrorRecovery as Recovery
    except ImportError:
        return ErrorRecovery(None, lambda: None, hold)
    return ErrorRecovery(ActionClient(node, Recovery, action), Recovery.Goal, hold)

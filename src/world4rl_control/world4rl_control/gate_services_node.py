"""The services of the `arm_gate` node that start and stop motion: `~/enable`, `~/release`, `~/reset`."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from world4rl_control.arm_control import ArmControl
from world4rl_control.clocks_node import timing_clock
from world4rl_control.instant import Instant
from world4rl_interfaces.srv import ResetArm


class GateServices:
    """Translates requests into calls of ArmControl; `changed` publishes the new status."""

    def __init__(
        self,
        node: Node,
        control: ArmControl,
        instant: Callable[[], Instant],
        changed: Callable[[], None],
    ) -> None:
        self._control, self._instant, self._changed = control, instant, changed
        self._reset_timeout_s = float(node.get_parameter("reset_timeout_s").value)
        self._arrival: Future | None = None  # of a reset
        self._reset_started_s = 0.0
        control.on_stop.append(self._end_reset)
        node.create_service(SetBool, "~/enable", self._on_enable)
        node.create_service(Trigger, "~/release", self._on_release)
        node.create_service(ResetArm, "~/reset", self._on_reset, callback_group=ReentrantCallbackGroup())
        self._reset_timer = node.create_timer(control.contract.period_s, self._reset_step, clock=timing_clock(node))
        self._reset_timer.cancel()

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if request.data:
            doubts = self._control.doubted(self._instant())
            refusal = self._control.enable(self._instant())
            enabled = "enabled at the measured pose" + (f", but: {doubts}" if doubts else "")
            response.success, response.message = not refusal, refusal or enabled
        else:
            self._control.stop("disabled on request", self._instant())
            response.success, response.message = True, "disabled"
        self._changed()
        return response

    def _on_release(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._control.gate.release()
        self._changed()
        response.success, response.message = True, "the next source that speaks has the arm"
        return response

    async def _on_reset(self, request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        try:
            if self._arrival is not None:
                raise ValueError("a reset is going on already")
            self._control.gate.start_reset(request.pose or "home")
        except ValueError as error:
            response.success, response.message = False, str(error)
            return response
        self._arrival, self._reset_started_s = Future(), time.monotonic()
        arrival = self._arrival
        self._reset_timer.reset()
        response.message = await arrival
        response.success = not response.message
        return response

    def _reset_step(self) -> None:
        if not self._control.gate.resetting:
            self._end_reset("a human took over")
            return
        self._control.reset_step(self._instant())
        if not self._control.gate.resetting:
            self._end_reset("")

    def tick(self) -> None:
        """Call regularly: gives up a reset that takes too long."""
        if self._arrival is not None and time.monotonic() - self._reset_started_s > self._reset_timeout_s:
            left = self._control.gate.way_left
            late = "the arm did not arrive in time" + (f", {left} are left" if left else "")
            self._control.gate.stop_reset()
            self._end_reset(f"{late}: is it blocked, or is its controller not running?")

    def _end_reset(self, message: str) -> None:
        self._reset_timer.cancel()
        if self._arrival is not None:
            self._arrival.set_result(message)
            self._arrival = None

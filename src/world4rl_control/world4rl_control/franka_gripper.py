"""Opens and closes a Franka hand through its actions without ever waiting for them. No rclpy in here.

A goal that cannot be reached (a width beyond the measured maximum) blocks the driver for minutes, so a goal in progress
is stopped before the next one is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from world4rl_control.gripper import GripperCommand

_STOP_TIMEOUT_S = 1.0


class FrankaGripper:
    """Sends the newest command; an older one that has not gone out yet is forgotten.

    `move` and `grasp` are action clients of franka_msgs, `stop` a client of std_srvs/Trigger; `goals` makes their
    messages: goals("open") a Move.Goal, goals("close") a Grasp.Goal, goals("stop") a Trigger.Request.
    """

    def __init__(
        self, move: Any, grasp: Any, stop: Any, goals: Callable[[Literal["open", "close", "stop"]], Any]
    ) -> None:
        self._clients = {"open": move, "close": grasp}
        self._stop, self._goals = stop, goals
        self._wanted: GripperCommand | None = None  # not sent yet
        self._running = 0  # goals sent and not finished
        self._stop_sent_s: float | None = None  # waiting for the driver's answer to stop since then
        self.problem = ""  # what went wrong last; empty when all is well

    def command(self, wanted: GripperCommand, now_s: float) -> None:
        """Open or close from now on; returns at once."""
        self._wanted = wanted
        if self._running and self._stop_sent_s is None and self._stop.service_is_ready():
            self._stop_sent_s = now_s
            self._stop.call_async(self._goals("stop")).add_done_callback(self._on_stopped)
        elif self._stop_sent_s is None:
            self._send()

    def tick(self, now_s: float) -> None:
        """Call regularly: retries what could not be sent, and gives up waiting for an answer to stop."""
        if self._stop_sent_s is not None and not 0.0 <= now_s - self._stop_sent_s < _STOP_TIMEOUT_S:
            self._stop_sent_s = None
            self.problem = "the gripper did not answer stop"
        if self._wanted is not None and self._stop_sent_s is None:
            self._send()

    def _on_stopped(self, _answer: Any) -> None:
        self._stop_sent_s = None
        self._send()

    def _send(self) -> None:
        if self._wanted is None:
            return
        wanted, client = self._wanted, self._clients[self._wanted]
        if not client.server_is_ready():
            self.problem = "no gripper action server: start the gripper's driver (load_gripper:=true)"
            return
        self._wanted, self._running = None, self._running + 1
        self.problem = ""
        client.send_goal_async(self._goals(wanted)).add_done_callback(lambda answer: self._on_accepted(wanted, answer))

    def _on_accepted(self, wanted: str, answer: Any) -> None:
        handle = answer.result()
        if handle is None or not handle.accepted:
            self._running -= 1
            self.problem = f"the gripper refused to {wanted}"
            return
        handle.get_result_async().add_done_callback(lambda result: self._on_finished(wanted, result))

    def _on_finished(self, wanted: str, answer: Any) -> None:
        self._running -= 1
        result = getattr(answer.result(), "result", None)
        if result is not None and not result.success and result.error:
            self.problem = f"the gripper could not {wanted}: {result.error}"

"""Clearing a Franka's errors after a reflex or a stop: first the target, then the driver's action. No ROS in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_ANSWER_S = 2.0  # patience for the driver to take the goal [s]
_SUCCEEDED = 4  # action_msgs/GoalStatus


class ErrorRecovery:
    """Runs at most one recovery, without waiting; `done` gets "" or what went wrong, once.

    `client` is the action client of franka_msgs/ErrorRecovery (None: not installed), `goal` makes its goal. `hold`
    disables the gate and sends the measured pose as target; it returns "" or why it cannot: the controller keeps its
    last target for ever, and would pull the arm there as soon as the errors are cleared.
    """

    def __init__(self, client: Any, goal: Callable[[], Any], hold: Callable[[], str], timeout_s: float = 30.0) -> None:
        self._client, self._goal, self._hold, self._timeout_s = client, goal, hold, timeout_s
        self._done: Callable[[str], None] | None = None
        self._started_s = 0.0
        self._accepted = False

    def start(self, now_s: float, done: Callable[[str], None]) -> None:
        """Begin; returns at once. Times are seconds of a steady clock."""
        refusal = self._refusal() or self._hold()
        if refusal:
            done(refusal)
            return
        self._done, self._started_s, self._accepted = done, now_s, False
        # `done` marks this recovery: answers that come after it was given up are for nobody.
        self._client.send_goal_async(self._goal()).add_done_callback(lambda answer: self._on_answer(done, answer))

    def tick(self, now_s: float) -> None:
        """Call regularly: gives up on a driver that does not answer."""
        limit_s = self._timeout_s if self._accepted else _ANSWER_S
        if self._done is not None and not 0.0 <= now_s - self._started_s < limit_s:
            self._end(self._done, f"the driver did not answer to error recovery within {limit_s:g} s")

    def _refusal(self) -> str:
        if self._done is not None:
            return "a recovery is going on already"
        if self._client is None:
            return "error recovery needs franka_msgs: install and source it"
        if not self._client.server_is_ready():
            return "no error recovery action of the driver: is it running, and error_recovery_action right?"
        return ""

    def _on_answer(self, done: Callable[[str], None], answer: Any) -> None:
        handle = answer.result()
        if handle is None or not handle.accepted:
            self._end(done, "the driver refused to recover")
            return
        self._accepted = self._done is done
        handle.get_result_async().add_done_callback(lambda outcome: self._on_outcome(done, outcome.result()))

    def _on_outcome(self, done: Callable[[str], None], outcome: Any) -> None:
        if outcome is not None and outcome.status == _SUCCEEDED:
            self._end(done, "")
        else:
            self._end(done, "the driver could not recover: see its log; release the user stop, check joints and Desk")

    def _end(self, done: Callable[[str], None], problem: str) -> None:
        if self._done is done:
            self._done = None
            done(problem)

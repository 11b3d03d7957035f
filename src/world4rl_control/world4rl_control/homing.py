"""Homing a gripper: at the start, where that was asked for, and on request. No ROS in here."""

from __future__ import annotations

from collections.abc import Callable

from world4rl_control.hand import HOMING_LOST, NO_SERVER, Hand

_TRIES = 3


class Homing:
    """At the start it waits for the driver, and for a gate that is disabled, as the hand opens and drops what it holds.

    A driver whose answer is lost is asked again, once it has answered a stop: never are two goals on their way. Where
    that does not help, or nobody knows what the hand does, it is left alone until somebody calls `~/home_gripper`.
    """

    def __init__(self, hand: Hand, moving: Callable[[], bool], at_start: bool) -> None:
        self._hand, self._moving = hand, moving
        self._wanted = at_start  # still to be begun
        self._busy = False
        self._tries = 0
        self.failed = False  # given up
        self.note = "the gripper is not homed yet" if at_start else ""  # empty: homed, or nobody asked for it

    def request(self, now_s: float, done: Callable[[str], None]) -> None:
        """Home now; `done` gets "" or what went wrong, once. Times are seconds of a steady clock."""
        if self._moving():
            done("the gate is enabled: disable it first")
            return

        def ended(problem: str) -> None:
            self._busy = False
            if not problem:
                self._wanted, self.failed, self.note = False, False, ""
            done(problem)

        busy, self._busy = self._busy, True
        self._hand.home(now_s, done if busy else ended)  # busy: the hand refuses

    def tick(self, now_s: float) -> None:
        """Call regularly."""
        if not self._wanted or self._busy:
            return
        if self._moving():
            self.note = "the gripper is not homed yet: that waits until the gate is disabled"
            return
        self._wanted, self._busy = False, True
        self._hand.home(now_s, self._ended)

    def _ended(self, problem: str) -> None:
        self._busy, self.note = False, ""
        if problem.startswith(NO_SERVER):
            self._wanted, self.note = True, f"the gripper is not homed yet: {problem}"
        elif problem:
            self._tries += 1
            self._wanted = problem == HOMING_LOST and self._tries < _TRIES
            again = "asked again" if self._wanted else "see its driver's log, then call ~/home_gripper"
            tried = f", {self._tries} times" if self._tries > 1 else ""
            self.failed, self.note = not self._wanted, f"the gripper is not homed: {problem}{tried}: {again}"

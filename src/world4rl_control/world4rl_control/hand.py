"""A gripper that is told to open, to close and to home, without ever waiting for it. No ROS in here.

The drivers end a goal late or never when its width cannot be reached, so the goal in progress is ended before the next
one is sent. What differs between drivers is a GripperDriver; the rest is one class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from world4rl_control.gripper import GripperCommand

Deed = Literal["open", "close", "home"]
NO_SERVER = "no gripper action server"  # how the problem of a driver that is not there begins
HOMING_LOST = "the gripper did not answer to home, and was stopped"  # it may be asked again
_ANSWER_S = 1.0  # patience with a driver that should answer at once [s]
_KEPT_S = 10.0  # a command older than this surprises whoever starts the missing driver [s]
_NOT_STOPPED = ", nor to stop: it may be moving still; restart its driver"
_HOMING_S = 30.0  # homing moves the fingers to both ends [s]


class GripperDriver(Protocol):
    """The actions of one kind of gripper driver. `client` returns an rclpy ActionClient or its like."""

    def client(self, deed: Deed) -> Any:
        """The client of the action behind a deed; None where this driver has no such thing."""

    def goal(self, deed: Deed) -> Any:
        """The goal message."""

    def halt(self, handle: Any, done: Callable[[], None]) -> bool:
        """Begin to end the goal of a handle and call `done` once the driver has answered; False when it cannot.

        The handle of a homing is None where the driver did not answer whether it takes the goal.
        """

    def complaint(self, deed: Deed, outcome: Any) -> str:
        """What went wrong, from the answer to `get_result_async` (`status`, `result`); empty when nothing did."""


class Hand(Protocol):
    """What the gate uses. Every method returns at once; times are seconds of a steady clock."""

    problem: str  # what went wrong last, for diagnostics; empty when all is well

    @property
    def refusal(self) -> str:
        """Why an arm whose contract moves the gripper must not be enabled; empty when it may."""

    def command(self, wanted: GripperCommand, now_s: float) -> None:
        """Open or close from now on; the newest command counts."""

    def forget(self) -> None:
        """The arm was stopped: a command that has not gone out yet never does. One on its way ends by itself."""

    def home(self, now_s: float, done: Callable[[str], None]) -> None:
        """Find the fingers' range; calls `done` once, with "" or with what went wrong. Commands wait meanwhile."""

    def tick(self, now_s: float) -> None:
        """Call regularly: sends what could not be sent, and gives up waiting for answers."""


class NoHand:
    """There is no gripper to talk to, for the reason given; `wanted` when there should be one."""

    def __init__(self, reason: str, wanted: bool) -> None:
        self.refusal = reason
        self.problem = reason if wanted else ""

    def command(self, wanted: GripperCommand, now_s: float) -> None:
        """Nothing to do: a contract that moves the gripper was refused before."""

    def forget(self) -> None:
        """Nothing to do."""

    def home(self, now_s: float, done: Callable[[str], None]) -> None:
        """Answers with the reason."""
        done(self.refusal)

    def tick(self, now_s: float) -> None:
        """Nothing to do."""


class _Sent:
    """A goal on its way; `handle` once the driver has accepted it."""

    def __init__(self, deed: Deed, now_s: float) -> None:
        self.deed, self.sent_s = deed, now_s
        self.handle: Any = None
        self.halted_s: float | None = None  # when it was asked to end
        self.trouble = ""  # why, where it is no newer command that asks for it


class DrivenHand:
    """Sends the newest command; one that has not gone out yet is forgotten. A Hand, for one thread."""

    def __init__(self, driver: GripperDriver) -> None:
        self._driver = driver
        self._now_s = 0.0
        self._wanted: GripperCommand | None = None  # not sent yet
        self._wanted_s = 0.0
        self._homed: Callable[[str], None] | None = None  # to be called when homing has ended
        self._sent: _Sent | None = None
        self.problem = ""

    @property
    def refusal(self) -> str:
        """See Hand."""
        return "" if self._homed is None else "the gripper is being homed: wait until that has ended"

    def command(self, wanted: GripperCommand, now_s: float) -> None:
        """See Hand."""
        self._wanted, self._wanted_s = wanted, now_s
        self.tick(now_s)

    def forget(self) -> None:
        """See Hand."""
        self._wanted = None

    def home(self, now_s: float, done: Callable[[str], None]) -> None:
        """See Hand."""
        client = self._driver.client("home")
        if client is None:
            refusal = "this gripper's driver has no homing"
        elif self._homed is not None:
            refusal = "homing is going on already"
        elif not client.server_is_ready():
            refusal = _absent(client)
        else:
            refusal, self._homed = "", done
            self.tick(now_s)
        if refusal:
            done(refusal)

    def tick(self, now_s: float) -> None:
        """See Hand."""
        self._now_s = now_s
        if self._sent is not None:
            self._watch(self._sent)
        if self._sent is None:
            self._send_next()

    def _watch(self, sent: _Sent) -> None:
        """Gives up on a driver that does not answer, and ends a goal that a newer command replaces."""
        if sent.halted_s is not None:
            if self._waited(sent.halted_s, _ANSWER_S):
                self._end(sent, sent.trouble + _NOT_STOPPED if sent.trouble else "the gripper did not answer stop")
        elif sent.handle is None:
            if self._waited(sent.sent_s, _ANSWER_S):
                self._give_up(sent, f"the gripper did not answer to {sent.deed}")
        elif sent.deed == "home":
            if self._waited(sent.sent_s, _HOMING_S):
                self._give_up(sent, f"homing did not end within {_HOMING_S:g} s")
        elif self._wanted is not None or self._homed is not None:
            sent.halted_s = self._now_s
            if not self._driver.halt(sent.handle, lambda: self._on_halted(sent)):
                self._sent = None  # nobody there to stop it: the driver takes the newer goal or not

    def _give_up(self, sent: _Sent, trouble: str) -> None:
        """A homing may go on all the same: it is ended, so that no two goals run. Not so the others, where a stop might
        drop what the hand holds."""
        if sent.deed != "home":
            self._end(sent, trouble)
            return
        sent.trouble, sent.halted_s = trouble, self._now_s
        if not self._driver.halt(sent.handle, lambda: self._end(sent, f"{trouble}, and was stopped")):
            self._end(sent, trouble + _NOT_STOPPED)

    def _waited(self, since_s: float, limit_s: float) -> bool:
        return not 0.0 <= self._now_s - since_s < limit_s

    def _send_next(self) -> None:
        deed: Deed | None = "home" if self._homed is not None else self._wanted
        if deed is None:
            return
        client = self._driver.client(deed)
        if not client.server_is_ready():
            self.problem = _absent(client)
            if deed == "home":
                self._tell_homed(self.problem)
            elif self._waited(self._wanted_s, _KEPT_S):
                self._wanted = None
                self.problem += f"; the command to {deed} is dropped: enable the gate again"
            return
        if deed != "home":
            self._wanted = None
        self.problem = ""
        sent = self._sent = _Sent(deed, self._now_s)
        client.send_goal_async(self._driver.goal(deed)).add_done_callback(lambda answer: self._on_answer(sent, answer))

    def _on_answer(self, sent: _Sent, answer: Any) -> None:
        handle = answer.result()
        accepted = handle is not None and handle.accepted
        if sent.deed == "home" and (self._sent is not sent or sent.halted_s is not None):
            if accepted:  # too late: it was given up
                handle.cancel_goal_async()
            return
        if not accepted:
            self._end(sent, f"the gripper refused to {sent.deed}")
            return
        sent.handle = handle
        handle.get_result_async().add_done_callback(lambda outcome: self._on_outcome(sent, outcome))
        self.tick(self._now_s)  # a newer command may be waiting for this

    def _on_halted(self, sent: _Sent) -> None:
        self._end(sent, "")

    def _on_outcome(self, sent: _Sent, outcome: Any) -> None:
        if sent.trouble:
            return  # it ends with the answer to stop
        # A goal that was stopped for the next one complains, as it should.
        complaint = "" if sent.halted_s is not None else self._driver.complaint(sent.deed, outcome.result())
        self._end(sent, complaint)

    def _end(self, sent: _Sent, complaint: str) -> None:
        if self._sent is not sent:
            return  # given up before
        self._sent = None
        self.problem = complaint
        if sent.deed == "home":
            self._tell_homed(complaint)
        self._send_next()

    def _tell_homed(self, complaint: str) -> None:
        done, self._homed = self._homed, None
        if done is not None:
            done(complaint)


def _absent(client: Any) -> str:
    name = getattr(client, "_action_name", "")
    return f"{NO_SERVER} {name}".rstrip() + ": start the gripper's driver (load_gripper:=true)"

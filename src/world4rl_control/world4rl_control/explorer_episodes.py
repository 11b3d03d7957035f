"""The order of things when random actions are recorded: home, record, act, close, and again. No ROS in here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from world4rl_data.episode import Outcome

Request = Literal["", "reset", "start", "stop"]


class Phase(Enum):
    """What the explorer is busy with; in RESET, START and STOP it waits for a service's answer."""

    IDLE = "idle"
    RESET = "moving home"
    START = "starting an episode"
    ACT = "exploring"
    STOP = "closing an episode"


@dataclass(frozen=True)
class EpisodePlan:
    """How many episodes, each how long; none: act without recording until disabled."""

    episodes: int = 0
    seconds: float = 60.0  # by the node's clock
    reset: bool = True  # move to the contract's home before each


class ExplorerEpisodes:
    """Every method returns the service to call now ("" for none) and leaves `phase` and `message` behind."""

    def __init__(self, plan: EpisodePlan) -> None:
        self.plan = plan
        self.phase = Phase.IDLE
        self.message = ""  # why it is idle
        self.outcome = Outcome.UNLABELLED  # for the "stop" request
        self._closed = 0
        self._started_s = 0.0
        self._ending = ""  # why no further episode is begun

    @property
    def acting(self) -> bool:
        """Whether actions are to be published."""
        return self.phase is Phase.ACT

    def begin(self, now_s: float) -> Request:
        """Start from the first episode. Does nothing while one is under way."""
        if self.phase is not Phase.IDLE:
            return ""
        self._closed, self._ending, self.message = 0, "", ""
        if self.plan.episodes == 0:
            self.phase, self._started_s = Phase.ACT, now_s
            return ""
        return self._next()

    def end(self, why: str) -> Request:
        """End as soon as possible; an episode being recorded is closed as interrupted."""
        if self.phase is Phase.ACT:
            if self.plan.episodes > 0:
                self._ending = why
                return self._close(Outcome.INTERRUPTED)
            self._idle(why)
        elif self.phase is not Phase.IDLE:
            self._ending = why  # once the service has answered
        return ""

    def tick(self, now_s: float, gate_fault: str = "") -> Request:
        """Call often. `gate_fault`: why the gate is disabled; that ends the run, for somebody had a reason."""
        if self.phase is not Phase.ACT or self.plan.episodes == 0:
            return ""
        if gate_fault:
            return self.end(f"the gate is disabled: {gate_fault}")
        # A clock that starts again ends the episode too: its stamps would not be in order.
        if not 0.0 <= now_s - self._started_s < self.plan.seconds:
            return self._close(Outcome.UNLABELLED)
        return ""

    def answered(self, success: bool, message: str, now_s: float) -> Request:
        """The service of the last request answered."""
        phase = self.phase
        if not success:
            self._idle(f"{phase.value} failed: {message}")
        elif phase is Phase.RESET:
            if self._ending:
                self._idle(self._ending)
                return ""
            self.phase = Phase.START
            return "start"
        elif phase is Phase.START:
            self.phase, self._started_s = Phase.ACT, now_s
            return self.end(self._ending) if self._ending else ""
        elif phase is Phase.STOP:
            self._closed += 1
            return self._next()
        return ""

    def _next(self) -> Request:
        if self._ending or self._closed >= self.plan.episodes:
            self._idle(self._ending or f"{self._closed} episodes recorded")
            return ""
        self.phase = Phase.RESET if self.plan.reset else Phase.START
        return "reset" if self.plan.reset else "start"

    def _close(self, outcome: Outcome) -> Request:
        self.phase, self.outcome = Phase.STOP, outcome
        return "stop"

    def _idle(self, message: str) -> None:
        self.phase, self.message = Phase.IDLE, message

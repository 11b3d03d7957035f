"""When a policy acts: once per control period, as soon as a new complete observation has come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.observation import Missing, ObservationAssembler
from world4rl_policy.policy_runner import PolicyFailure, PolicyRunner

EARLIEST = 0.9  # of a control period after the last action
FURTHEST_AHEAD = 2.0  # control periods that a message's stamp may lie ahead of this node's clock


@dataclass(frozen=True)
class Decision:
    """An action float32 ``(A,)`` and the stamp [ns] that belongs to it: never before what it was decided on."""

    values: np.ndarray
    stamp_ns: int


class PolicyLoop:
    """Messages in, decisions out. Starts disabled, and ends itself where the policy fails. For one thread."""

    def __init__(self, runner: PolicyRunner):
        self.runner = runner
        self.contract: TaskContract = runner.policy.contract
        self.enabled = False
        self._failure = ""
        self._forget()

    def _forget(self) -> None:
        self._assembler = ObservationAssembler(self.contract, history_s=0.3)
        self._newest: dict[str, int] = {}  # topic -> newest stamp
        self._restart()

    def _restart(self) -> None:
        self.runner.reset()
        self._seen_ns = max(self._picture_stamps(), default=0)  # pictures up to here are not new
        self._acted_ns: int | None = None

    def enable(self) -> None:
        """Begin a new episode."""
        self._restart()
        self._failure = ""
        self.enabled = True

    def disable(self) -> None:
        """Stop acting; observations are still followed."""
        self.enabled = False

    def push(self, topic: str, stamp_ns: int, message: Any, now_ns: int) -> Decision | None:
        """Take one message of the contract's topics; an action where it is time for one."""
        arrived_s = time.monotonic()
        if stamp_ns < self._newest.get(topic, stamp_ns) - 1_000_000_000:
            self._forget()  # the clock was set back
        self._assembler.push(topic, stamp_ns, message)
        self._newest[topic] = max(stamp_ns, self._newest.get(topic, stamp_ns))
        is_picture = any(stream.topic == topic for stream in self.contract.images)
        return self._decide(now_ns, arrived_s) if self.enabled and is_picture and self._has_new_pictures() else None

    def _picture_stamps(self) -> list[int]:
        """The newest stamp of every camera that has been heard of."""
        return [self._newest[stream.topic] for stream in self.contract.images if stream.topic in self._newest]

    def _has_new_pictures(self) -> bool:
        """True once every camera has a picture from after the last chance to act: no new one beside another's old."""
        stamps = self._picture_stamps()
        return len(stamps) == len(self.contract.images) and min(stamps) > self._seen_ns

    def _moment(self, now_ns: int) -> int:
        """Now [ns], or the newest picture's stamp where this node's clock has not heard of it yet (as with /clock)."""
        return max(now_ns, *self._picture_stamps(), 0)

    def _decide(self, now_ns: int, arrived_s: float) -> Decision | None:
        period_ns = self.contract.period_s * 1e9
        stamp_ns = self._moment(now_ns)
        self._seen_ns = max(self._picture_stamps())
        early = self._acted_ns is not None and 0 <= stamp_ns - self._acted_ns < EARLIEST * period_ns
        if early or stamp_ns - now_ns > FURTHEST_AHEAD * period_ns:
            return None
        observation = self._assembler.at(stamp_ns)
        if isinstance(observation, Missing):
            return None  # `problem` says what is missing
        self._acted_ns = stamp_ns
        try:
            return Decision(self.runner.act(observation, arrived_s), stamp_ns)
        except PolicyFailure as failure:
            self.disable()
            self._failure = str(failure)
            return None

    def problem(self, now_ns: int) -> str:
        """Why there are or would be no actions: a failed policy, clocks apart, a silent stream. Empty: all is well."""
        if self._failure:
            return f"{self._failure}; mend it or load another checkpoint, then enable again"
        moment = self._moment(now_ns)
        if moment - now_ns > FURTHEST_AHEAD * self.contract.period_s * 1e9:
            return (
                f"pictures are stamped {(moment - now_ns) * 1e-9:.1f} s ahead of this node's clock: synchronise the "
                f"clocks, or with use_sim_time start what publishes /clock"
            )
        observation = self._assembler.at(moment)
        return str(observation) if isinstance(observation, Missing) else ""

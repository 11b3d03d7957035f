"""When a policy acts: once per control period, as soon as a new complete observation has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from world4rl_data.contract import TaskContract
from world4rl_data.control_period import too_soon
from world4rl_data.observation import Missing, Observation, ObservationAssembler
from world4rl_policy.action_statistics import ActionStatistics
from world4rl_policy.policy_runner import PolicyFailure, PolicyRunner

FURTHEST_AHEAD = 2.0  # control periods that a message's stamp may lie ahead of this node's clock


@dataclass(frozen=True)
class Decision:
    """An action float32 ``(A,)``, the observation that it was decided on, and whose it is.

    `stamp_ns` is the action's stamp: never before what it was decided on.
    """

    values: np.ndarray
    stamp_ns: int
    observation: Observation
    policy_id: str


@dataclass(frozen=True)
class _Task:
    """What the policy looks at, and the episode that this belongs to."""

    runner: PolicyRunner
    frames: torch.Tensor
    observation: Observation
    arrived_s: float
    episode: int


class PolicyLoop:
    """Messages in by `take`, decisions out by `act`. Starts disabled, and ends itself where the policy fails.

    Any thread may call anything at any time, one at a time `act`. The policy itself runs outside the lock, so that
    messages, `disable` and `swap` never wait for it; what it decides after its episode has ended is thrown away.
    """

    def __init__(self, runner: PolicyRunner):
        self.runner = runner
        self.contract: TaskContract = runner.policy.contract
        self.statistics = ActionStatistics(self.contract.period_s)
        self.enabled = False
        self._lock = threading.RLock()
        self._episode = 0
        self._failure = ""  # the policy's own
        self._held = ""  # why somebody else stopped it
        self._forget()

    def _forget(self) -> None:
        self._assembler = ObservationAssembler(self.contract, history_s=0.3)
        self._newest: dict[str, int] = {}  # topic -> newest stamp
        self._episode += 1  # what is being decided is of another time
        self._restart()

    def _restart(self) -> None:
        self.runner.reset()
        self._seen_ns = max(self._picture_stamps(), default=0)  # pictures up to here are not new
        self._acted_ns: int | None = None
        self._due_s: float | None = None  # when the observation to act on was complete, by the monotonic clock

    def enable(self) -> None:
        """Begin a new episode."""
        with self._lock:
            self._restart()
            self.statistics.restart()
            self._failure = self._held = ""
            self._episode += 1
            self.enabled = True

    def disable(self, reason: str = "") -> None:
        """Stop acting, at once: what is being decided is not sent. Observations are still followed.

        A `reason` stands in `problem` until it is enabled again.
        """
        with self._lock:
            self.enabled = False
            self._held = reason or self._held

    def swap(self, runner: PolicyRunner) -> None:
        """Go on with another policy of the same contract, between two actions; its memory begins with the next frame.

        Raises:
            ContractMismatch: the policy has another contract.
        """
        self.contract.require_same(runner.policy.contract, f"policy {runner.name}")
        with self._lock:
            self.runner = runner
            self._failure = ""

    def take(self, topic: str, stamp_ns: int, message: Any, now_ns: int) -> bool:
        """Take one message of the contract's topics; True where it is now time to `act`."""
        arrived_s = time.monotonic()
        with self._lock:
            if stamp_ns < self._newest.get(topic, stamp_ns) - 1_000_000_000:
                self._forget()  # the clock was set back
            self._assembler.push(topic, stamp_ns, message)
            self._newest[topic] = max(stamp_ns, self._newest.get(topic, stamp_ns))
            is_picture = any(stream.topic == topic for stream in self.contract.images)
            if not (self.enabled and is_picture and self._has_new_pictures()):
                return False
            self._seen_ns = max(self._picture_stamps())
            if not self._in_time(now_ns):
                return False
            self._due_s = arrived_s
            return True

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

    def _in_time(self, now_ns: int) -> bool:
        moment, period_s = self._moment(now_ns), self.contract.period_s
        early = self._acted_ns is not None and too_soon((moment - self._acted_ns) * 1e-9, period_s)
        return not early and moment - now_ns <= FURTHEST_AHEAD * period_s * 1e9

    def act(self, clock: Callable[[], int], send: Callable[[Decision], None]) -> Decision | None:
        """Decide on the newest complete observation where it is time to, and `send` the decision.

        Args:
            clock: the present [ns] by the node's clock.
            send: called at most once, never after `disable` has returned.
        """
        with self._lock:
            task = self._next_task(clock())
        if task is None:
            return None
        try:
            values = task.runner.infer(task.frames)
        except PolicyFailure as failure:
            with self._lock:
                if task.episode == self._episode and task.runner is self.runner:
                    self.fail(str(failure))
            return None
        decision = Decision(values, task.observation.stamp_ns, task.observation, task.runner.name)
        with self._lock:
            if not self.enabled or task.episode != self._episode:
                return None
            send(decision)
            delay = time.monotonic() - task.arrived_s
            self.statistics.add(max(clock(), decision.stamp_ns), task.observation.image_stamp_ns, delay)
        return decision

    def _next_task(self, now_ns: int) -> _Task | None:
        arrived_s, self._due_s = self._due_s, None
        if arrived_s is None or not self.enabled or not self._in_time(now_ns):
            return None
        observation = self._assembler.at(self._moment(now_ns))
        if isinstance(observation, Missing):
            return None  # `problem` says what is missing
        self._acted_ns = observation.stamp_ns
        return _Task(self.runner, self.runner.remember(observation), observation, arrived_s, self._episode)

    def fail(self, failure: str) -> None:
        """The policy is unusable until it is enabled again or another one comes."""
        with self._lock:
            self.enabled, self._failure = False, failure

    def problem(self, now_ns: int) -> str:
        """Why there are or would be no actions: a failed policy, clocks apart, a silent stream. Empty: all is well."""
        with self._lock:
            if self._held:
                return self._held
            if self._failure:
                return f"{self._failure}; mend it or load another checkpoint, then enable again"
            moment = self._moment(now_ns)
            if moment - now_ns > FURTHEST_AHEAD * self.contract.period_s * 1e9:
                return (
                    f"pictures are stamped {(moment - now_ns) * 1e-9:.1f} s ahead of this node's clock: synchronise "
                    f"the clocks, or with use_sim_time start what publishes /clock"
                )
            observation = self._assembler.at(moment)
            return str(observation) if isinstance(observation, Missing) else ""

"""Gate, arm and controller put together: what the `arm_gate` node does, without ROS.

Watches are plain functions from an Instant to a sentence: why the arm must be stopped, or "" when all is well. They are
asked on every tick and before enabling; a requirement is asked before enabling only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from world4rl_control.arm_state import ArmState, ClockWatch
from world4rl_control.backend import Backend, Command
from world4rl_control.gate import GateOutput, SafetyGate
from world4rl_control.instant import Instant
from world4rl_control.pose import Pose
from world4rl_data.contract import TaskContract

Watch = Callable[[Instant], str]


@dataclass(frozen=True)
class ControlConfig:
    """Limits [s] that are no matter of the task."""

    clock_timeout_s: float = 1.0  # real time that the node's clock may stand still


class ArmControl:
    """Not thread-safe: the caller holds one lock. `send` gets every command for the motion controller."""

    def __init__(
        self,
        contract: TaskContract,
        backend: Backend,
        send: Callable[[Command], None],
        config: ControlConfig = ControlConfig(),
    ) -> None:
        self.contract, self.config = contract, config
        self.gate, self.arm = SafetyGate(contract), ArmState()
        self.faults: list[Watch] = [lambda now: self.arm.mode_fault]
        self.requirements: list[Watch] = [self._pose_is_fresh]
        self.on_stop: list[Callable[[str], None]] = []  # told the reason whenever the gate is disabled
        self._backend, self._send = backend, send
        self._clock_watch = ClockWatch(config.clock_timeout_s)

    # -- moving -------------------------------------------------------------------------------------------------------

    def act(self, values: object, source: int, now: Instant) -> GateOutput:
        """Apply one action (A,) in [-1, 1] and send its target at once."""
        arm, now_s = self.arm, now.ros_s
        out = self.gate.apply(values, source, arm.position, arm.quat, now_s, arm.pose_age(now_s))  # type: ignore[arg-type]
        self._follow(out)
        return out

    def reset_step(self, now: Instant) -> None:
        """The next target on the way to a reset's pose; `gate.resetting` is false once the arm is there."""
        arm, now_s = self.arm, now.ros_s
        self._follow(self.gate.reset_step(arm.position, arm.quat, now_s, arm.pose_age(now_s)))

    def _follow(self, out: GateOutput) -> None:
        if out.accepted:
            self._emit(self._backend.follow((out.target_position, out.target_quat), self.arm))

    # -- enabling and stopping ----------------------------------------------------------------------------------------

    def enable(self, now: Instant) -> str:
        """Start at the measured pose; returns why that is refused, "" when it is not."""
        refusal = self.fault(now) or _first(self.requirements, now)
        if not refusal:
            self._tell_stop("enabled afresh")
            self.gate.enable(self.arm.position, self.arm.quat, self.arm.gripper_width, now.ros_s)
        return refusal

    def stop(self, reason: str, now: Instant) -> None:
        """Disable for the reason given, which stays until enabled again; a stop before it keeps its own reason."""
        if self.gate.enabled:
            self.stay(now)
            self.gate.disable(reason)
        self._tell_stop(self.gate.reason)

    def stay(self, now: Instant) -> None:
        """Tell the controller to stay where the arm is measured (its last target may be another)."""
        self._emit(self._backend.stop(self._fresh_pose(now), self.arm))

    def tick(self, now: Instant) -> str:
        """Call often: stops the arm on a fault, and returns it."""
        if not self.gate.enabled:
            return ""
        fault = self.fault(now)
        if fault:
            self.stop(fault, now)
        return fault

    # -- judging ------------------------------------------------------------------------------------------------------

    def fault(self, now: Instant) -> str:
        """Why the arm must be stopped; empty when all is well."""
        return _first(self.faults, now)

    def reason(self, now: Instant) -> str:
        """Why the arm does not move just now; empty while it does."""
        reason = self.gate.check(now.ros_s, self.arm.pose_age(now.ros_s))
        if self.gate.enabled and self._clock_watch.stands_still(now.ros_s, now.steady_s):
            return "the clock stands still: is the simulation (/clock) running?"
        return reason

    def _pose_is_fresh(self, now: Instant) -> str:
        if self._fresh_pose(now) is not None:
            return ""
        return "no fresh measured pose: is the robot's driver (or sim_arm) running, and the pose topic right?"

    def _fresh_pose(self, now: Instant) -> Pose | None:
        if self.arm.pose_age(now.ros_s) > self.gate.config.pose_timeout_s:
            return None
        return self.arm.position, self.arm.quat

    def _emit(self, command: Command | None) -> None:
        if command is not None:
            self._send(command)

    def _tell_stop(self, reason: str) -> None:
        for told in self.on_stop:
            told(reason)


def _first(watches: list[Watch], now: Instant) -> str:
    return next((found for watch in watches if (found := watch(now))), "")

"""Gate, arm and motion controller put together: what the `arm_gate` node does, without ROS.

Watches are functions from an Instant to a sentence: why the arm must be stopped, or "" when all is well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from world4rl_control.action_stamps import ActionStamps
from world4rl_control.arm_state import ArmState, ClockWatch
from world4rl_control.backend import Backend, Command
from world4rl_control.controller_frame import ControllerFrame
from world4rl_control.gate import SafetyGate
from world4rl_control.gate_output import GateConfig, GateOutput
from world4rl_control.instant import Instant
from world4rl_control.pose import Pose
from world4rl_control.silence import Confirmed, StreamAges
from world4rl_control.target_path import TargetPath
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource

Watch = Callable[[Instant], str]


@dataclass(frozen=True)
class ControlConfig:
    """Limits that are no matter of the task [s], and how often the controller is told its target."""

    command_rate_hz: float = 0.0  # 0: each target goes out at once, and only once
    clock_timeout_s: float = 1.0  # real time that the node's clock may stand still
    driver_timeout_s: float = 1.0  # silence of pose or robot state that counts as loss of the driver
    stop_repeat_s: float = 1.0  # for how long a backend that must be told so again and again is told to stop
    gate: GateConfig = field(default_factory=GateConfig)


class ArmControl:
    """`send` gets every command for the motion controller.

    Not thread-safe, and neither are `gate`, `arm`, `frame` and `streams`: everything that touches them comes from one
    thread. In the `arm_gate` node that is the one that spins it: its callbacks must not be served by several.

    `faults` stop the arm, and keep it from being enabled, as robot modes do; `silences` do so when they last (see
    Confirmed); `requirements` only keep it from being enabled; `doubts` say what a person should know, and forbid
    nothing. `on_stop` is told the reason of every stop.
    """

    def __init__(
        self,
        contract: TaskContract,
        backend: Backend,
        send: Callable[[Command], None],
        config: ControlConfig = ControlConfig(),
        frame: ControllerFrame | None = None,
    ) -> None:
        self.contract, self.config, self.frame = contract, config, frame
        self.gate, self.arm = SafetyGate(contract, config.gate), ArmState()
        self.streams = StreamAges({stream.topic: stream.timeout_s for stream in contract.streams})
        self.faults: list[Watch] = []
        self.silences: list[Confirmed] = [Confirmed(self._driver_lost), Confirmed(self._state_lost)]
        self.requirements: list[Watch] = [self._pose_missing, self._frames_differ]
        self.doubts: list[Watch] = [self._waiting_sources]
        self.on_stop: list[Callable[[str], None]] = []
        self.on_enable: list[Callable[[], None]] = []
        self._backend, self._send = backend, send
        self._clock_watch = ClockWatch(config.clock_timeout_s)
        limits = self.gate.limits
        self._path = TargetPath(contract.period_s, limits.max_speed_m_s, limits.max_step_rad / contract.period_s)
        self.stamps = ActionStamps()
        self._stopped_s: float | None = None  # real time of the last stop, while the backend must be reminded of it

    # -- moving -------------------------------------------------------------------------------------------------------

    def act(self, values: ArrayLike, source: int, stamp_s: float, now: Instant) -> GateOutput:
        """Apply one action (A,) in [-1, 1] that was decided on at `stamp_s`."""
        if self.gate.enabled and (over := self._episode_over(now)):
            self.stop(over, now)
        self.stamps.see(source, stamp_s, now.ros_s)
        unfit = self._untimely(source, stamp_s, now.ros_s) or self._blind(source, now)
        if unfit:
            return self.gate.drop(unfit, source)
        arm, now_s = self.arm, now.timing_s
        out = self.gate.apply(values, source, arm.position, arm.quat, now_s, arm.pose_age(now_s))
        self._aim(out, now)
        if out.accepted:
            self.stamps.take(source, stamp_s)
        return out

    def reset_step(self, now: Instant) -> None:
        """The next target on the way to a reset's pose; `gate.resetting` is false once the arm is there."""
        arm, now_s = self.arm, now.timing_s
        self._aim(self.gate.reset_step(arm.position, arm.quat, now_s, arm.pose_age(now_s)), now)

    def _aim(self, out: GateOutput, now: Instant) -> None:
        if not out.accepted:
            return
        target, here = self._out((out.target_position, out.target_quat)), self._out(self._pose)
        if self.config.command_rate_hz > 0.0:
            self._path.aim(target, here)
        else:
            self._follow(target, here, now)

    def _follow(self, target: Pose, here: Pose, now: Instant) -> None:
        try:
            command = self._backend.follow(target, here, self.arm)
        except ValueError as error:
            self.stop(str(error), now)
        else:
            self._send(command)

    def command(self, now: Instant) -> None:
        """Call at `command_rate_hz`: tells the controller where the path to the target is, or to hold."""
        if not self.gate.enabled:
            if self._stopped_s is not None and now.steady_s - self._stopped_s <= self.config.stop_repeat_s:
                self._emit(self._backend.hold())
            return
        reason = self.reason(now)  # always asked: it watches the clock
        # A reset goes on without what an action needs, but not blind: a twist from an old pose never comes to an end.
        if self._pose_missing(now) or (reason and not self.gate.resetting):
            self._path.halt(now.timing_s)
            self._emit(self._backend.hold())
        elif (target := self._path.at(now.timing_s)) is not None:
            self._follow(target, self._out(self._pose), now)

    # -- enabling and stopping ----------------------------------------------------------------------------------------

    def enable(self, now: Instant) -> str:
        """Start at the measured pose; returns why that is refused, "" when it is not."""
        silences = [watch.raw for watch in self.silences]
        refusal = _first([self._mode, *self.faults, *silences, *self.requirements], now)
        if not refusal:
            self._tell_stop("enabled afresh")
            self.arm.jump, self._stopped_s = "", None
            self.stamps.clear()
            self._path.clear()
            self._backend.begin()
            self._fix_frame()
            self.gate.enable(self.arm.position, self.arm.quat, self.arm.gripper_width, now.timing_s)
            for told in self.on_enable:
                told()
        return refusal

    def stop(self, reason: str, now: Instant) -> None:
        """Disable for the reason given, which stays until enabled again; a stop before it keeps its own reason."""
        if self.gate.enabled:
            self.stay(now)
            self.gate.disable(reason)
            self._stopped_s = now.steady_s
        self._tell_stop(self.gate.reason)

    def stay(self, now: Instant) -> None:
        """Tell the controller to stay where the arm is measured (its last target may be another)."""
        self._path.clear()
        here = None if self._pose_missing(now) else self._out(self._pose)
        self._emit(self._backend.stop(here, self.arm))

    def prepare_recovery(self, now: Instant) -> str:
        """Stop, and leave the measured pose as the target that counts when the robot moves again.

        Returns why that is not possible; a robot mode is no reason, it is what one recovers from. The two frames must
        agree as for enabling: a target that is off by their difference would be pulled to at once.
        """
        self.stop("error recovery", now)
        if missing := self._pose_missing(now):
            return f"{missing} One that ended with the reflex recovers the arm when it is started again: restart it"
        refusal = _first([self._frames_differ, *self.faults], now)
        if not refusal:
            self._fix_frame()
            self.stay(now)
        return refusal

    def tick(self, now: Instant) -> str:
        """Call often: stops the arm on a fault, and returns it."""
        if not self.gate.enabled:
            return ""
        fault = self.arm.jump or _first([self._mode, *self.faults, *self.silences, self._episode_over], now)
        if fault:
            self.stop(fault, now)
        return fault

    # -- judging ------------------------------------------------------------------------------------------------------

    def reason(self, now: Instant) -> str:
        """Why the arm does not move just now; empty while it does."""
        reason = self.gate.check(now.timing_s, self.arm.pose_age(now.timing_s))
        if not self.gate.enabled:
            return reason
        if self._clock_watch.stands_still(now.ros_s, now.steady_s):
            return "the clock stands still: is the simulation (/clock) running?"
        if self._pose_missing(now):
            return reason
        return self._blind(self.gate.active_source, now) or reason

    def doubted(self, now: Instant) -> str:
        """What a person should know before the arm moves, such as what nobody watches; "" where nothing is amiss."""
        return "; ".join(doubt for watch in self.doubts if (doubt := watch(now)))

    def _blind(self, source: int, now: Instant) -> str:
        """What the source cannot see. A human looks at the arm itself, and must be able to move it out of harm's way
        whatever else has failed; everybody else decides by these streams. A reset goes by the measured pose alone."""
        if source == ActionSource.HUMAN or self.gate.resetting:
            return ""
        return self.streams.stale(now.timing_s)

    def _untimely(self, source: int, stamp_s: float, now_s: float) -> str:
        limit_s = self.contract.action_timeout_s
        if stamp_s <= 0.0:
            return "the action has no stamp: its source must stamp it"
        age_s = now_s - stamp_s
        if abs(age_s) <= limit_s:
            if self.stamps.overtaken(source, stamp_s, drives=source == self.gate.active_source):
                return "overtaken: decided on no later than the action that is being executed"
            return ""
        when = f"{age_s:.2f} s old" if age_s > 0 else f"stamped {-age_s:.2f} s in the future"
        return f"late action, {when} (limit {limit_s:g} s): is its source slow, or are the machines' clocks apart?"

    def _episode_over(self, now: Instant) -> str:
        limit_s = self.contract.max_episode_s
        if self.gate.autonomous_s(now.timing_s) <= limit_s:
            return ""
        return f"maximum episode time: no human for {limit_s:g} s (the contract's max_episode_s): call ~/enable"

    def _pose_missing(self, now: Instant) -> str:
        if self.arm.pose_age(now.timing_s) <= self.gate.config.pose_timeout_s:
            return ""
        return "no fresh measured pose: is the robot's driver (or sim_arm) running, and the pose topic right?"

    def _waiting_sources(self, now: Instant) -> str:
        """After a stop a policy may still be acting in vain, and whoever enables the gate not be thinking of it."""
        heard_s, limit_s = self.stamps.heard_s, self.contract.action_timeout_s
        others = (ActionSource.SCRIPTED, ActionSource.POLICY, ActionSource.RANDOM)
        waiting = [who.name for who in others if abs(now.ros_s - heard_s.get(who, math.inf)) <= limit_s]
        if self.gate.enabled or not waiting:
            return ""
        return f"{' and '.join(waiting)} sends actions already: the arm moves as soon as the gate is enabled"

    def _frames_differ(self, now: Instant) -> str:
        return "" if self.frame is None else self.frame.disagreement(self._pose, now.timing_s)

    def _mode(self, _now: Instant) -> str:
        return self.arm.mode_fault

    def _driver_lost(self, now: Instant) -> str:
        age_s, limit_s = self.arm.pose_age(now.timing_s), self.config.driver_timeout_s
        if age_s <= limit_s or math.isinf(age_s):  # not heard yet, it may be starting: _pose_missing asks for it
            return ""
        return f"driver lost: no measured pose for more than {limit_s:g} s: restart it, then call ~/enable"

    def _state_lost(self, now: Instant) -> str:
        if self.arm.state_silence(now.timing_s) <= self.config.driver_timeout_s:
            return ""
        limit_s = self.config.driver_timeout_s
        return f"driver lost: robot_state silent for more than {limit_s:g} s: restart it, then call ~/enable"

    @property
    def _pose(self) -> Pose:
        return self.arm.position, self.arm.quat

    def _out(self, driver: Pose) -> Pose:
        return driver if self.frame is None else self.frame.out(driver)

    def _fix_frame(self) -> None:
        if self.frame is not None:
            self.frame.fix(self._pose)

    def _emit(self, command: Command | None) -> None:
        if command is not None:
            self._send(command)

    def _tell_stop(self, reason: str) -> None:
        for told in self.on_stop:
            told(reason)


def _first(watches: Iterable[Watch], now: Instant) -> str:
    return next((found for watch in watches if (found := watch(now))), "")

"""The safety gate: the only way from a normalised action to a target for the arm.

No ROS in here: times are seconds of the caller's clock, positions metres, orientations quaternions (x, y, z, w), both
in the contract's base frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from world4rl_control import pose
from world4rl_control.arrival import Arrival
from world4rl_control.gate_output import GateConfig, GateOutput
from world4rl_control.gripper import GripperSwitch
from world4rl_control.layout import ActionLayout
from world4rl_control.limits import MotionLimits
from world4rl_control.pose import Pose
from world4rl_control.sources import SourcePriority
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource

_ANY_AXIS = np.full(3, np.inf)


class SafetyGate:
    """Turns actions into bounded targets; disabled until `enable`, and after `disable` until enabled again.

    `executed` of an accepted action is the action that, applied exactly to the last target, gives the new one. One
    exception: when the arm was pushed further away than one action reaches, the target follows it (the lag stays
    bounded) and `executed` is cut to [-1, 1]. Not thread-safe.
    """

    def __init__(self, contract: TaskContract, config: GateConfig = GateConfig()) -> None:  # noqa: B008 (frozen)
        self.contract, self.config = contract, config
        self.limits, self.layout = MotionLimits.of(contract), ActionLayout(contract)
        self.enabled = False
        self.reason = "not enabled yet: call ~/enable"  # why the arm holds; empty while it moves
        self.rejected = 0  # actions thrown away for any reason but coming early
        self._dropped = ""  # what was wrong with the last action, where it could not be used
        self._sources = SourcePriority(contract.action_timeout_s)
        self._gripper = GripperSwitch(contract.gripper)
        self._position, self._quat = np.zeros(3), np.array((0.0, 0.0, 0.0, 1.0))
        self._upright = self._quat  # the orientation kept when the contract has no rotation
        self._reset: Arrival | None = None  # where a reset goes
        self._moved = False  # whether an action was applied, or a reset step, since enabling
        self._last_s = 0.0  # when that was; before the first, when the gate was enabled
        self._alone_s: float | None = None  # since when sources other than a human move the arm

    @property
    def target(self) -> Pose:
        """The last commanded position (3,) and orientation (4,)."""
        return self._position.copy(), self._quat.copy()

    @property
    def active_source(self) -> ActionSource:
        """Who drives the arm; UNKNOWN when nobody does."""
        return self._sources.active

    @property
    def resetting(self) -> bool:
        """Whether the gate itself is moving the arm to a named pose."""
        return self._reset is not None

    @property
    def way_left(self) -> str:
        """How far the arm is from where a reset goes; empty when none is going on or no pose has come in it."""
        return self._reset.left if self._reset else ""

    def enable(
        self, position: ArrayLike, quat: ArrayLike, gripper_width: float | None = None, now_s: float = 0.0
    ) -> None:
        """Start from the measured pose and opening [m], with nobody at the arm; when enabled already, start afresh.

        The first action moves from where the arm is measured then, so the arm may settle in between.

        Raises ValueError, and stays disabled, when the pose is not finite.
        """
        self.disable("not enabled: the measured pose is not usable")
        self._anchor(*_as_pose(position, quat))
        self._gripper.start(gripper_width)
        self._moved, self._last_s, self._dropped, self._alone_s = False, now_s, "", None
        self.enabled, self.reason = True, "no action yet"

    def disable(self, reason: str) -> None:
        """Accept nothing more, for the reason given, until enabled again."""
        self.enabled, self.reason, self._reset = False, reason, None
        self._sources.release()

    def release(self) -> None:
        """Let the next source have the arm (a human keeps it until then)."""
        self._sources.release()

    def apply(
        self,
        values: ArrayLike,
        source: int,
        measured_position: ArrayLike,
        measured_quat: ArrayLike,
        now_s: float,
        pose_age_s: float = 0.0,
    ) -> GateOutput:
        """Apply one action (A,), clamped to [-1, 1]; at most once per control period.

        One that comes a little early is shortened as the speed limits ask, one before `min_interval` is not applied.
        """
        if not self.enabled:
            return self._reject(self.reason)
        try:
            action, who = self.layout.parse(values), self._sources.parse(source)
            position, quat = self._measured(measured_position, measured_quat, pose_age_s)
        except ValueError as error:
            return self.drop(str(error), source)
        takes_over = who == ActionSource.HUMAN and self.active_source != ActionSource.HUMAN
        wait = self._sources.admit(who, now_s) or self._wait_for_reset(who)
        if wait:
            return self._reject(wait)
        # A human who takes over is heard at once; the step is the shorter for it.
        if not takes_over and self._moved and 0.0 <= now_s - self._last_s < self._shortest_s:
            return self._refuse("early: one action per control period")
        limits = self._begin(position, quat, now_s)
        self.reason = self._dropped = ""
        self._alone_s = None if who == ActionSource.HUMAN else now_s if self._alone_s is None else self._alone_s
        return self._execute(action, position, quat, limits)

    def drop(self, reason: str, source: int) -> GateOutput:
        """Throw an action away that cannot be used, and count it; hold, and say why, until a usable one comes.

        Where another source has the arm it is only counted: what that one asks for goes on.
        """
        if not self.enabled:
            return self._reject(self.reason)
        if self.active_source in (ActionSource.UNKNOWN, source):
            self.reason, self._dropped = reason, f" (the last one: {reason})"
        return self._reject(reason)

    def autonomous_s(self, now_s: float) -> float:
        """For how long sources other than a human have moved the arm, since enabling, a reset, or a human's action."""
        return 0.0 if self._alone_s is None else max(0.0, now_s - self._alone_s)

    def check(self, now_s: float, pose_age_s: float = 0.0) -> str:
        """Why the arm holds just now ("" while it moves): call it on a timer, so that silence is noticed.

        Holding commands nothing: the last target stays, at most the allowed lag away. A fresh action ends it.
        """
        if not self.enabled:
            return self.reason
        if pose_age_s > self.config.pose_timeout_s:
            self.reason = self._stale
        elif self._reset is None and now_s - self._last_s > self.contract.action_timeout_s:
            self.reason = f"no usable action for more than {self.contract.action_timeout_s:g} s{self._dropped}"
        return self.reason

    def start_reset(self, pose_name: str = "home") -> None:
        """Begin to move to a pose of the contract. Raises ValueError when disabled, when a human has the arm, or for a
        pose that the contract does not have."""
        if not self.enabled:
            raise ValueError(f"the gate is disabled ({self.reason}): enable it first")
        if self.active_source == ActionSource.HUMAN:
            raise ValueError("a human has the arm: call ~/release first")
        if pose_name not in self.contract.poses:
            raise ValueError(f"no pose {pose_name!r} in the contract, there are {sorted(self.contract.poses)}")
        self._reset = Arrival(_as_pose(*self.contract.poses[pose_name]), self.config)
        self.reason = "moving to a pose of the contract"

    def stop_reset(self) -> None:
        """Stay where the arm is on its way to the reset's pose."""
        self._reset, self.reason = None, "no action yet"

    def reset_step(
        self, measured_position: ArrayLike, measured_quat: ArrayLike, now_s: float, pose_age_s: float = 0.0
    ) -> GateOutput:
        """The next target on the way to the reset's pose, under the limits of an action; call once per control period.

        `resetting` is false once the arm has arrived. Not accepted: no reset is going on, or the pose is stale.
        """
        if self._reset is None:
            return self._refuse("no reset is going on")
        try:
            position, quat = self._measured(measured_position, measured_quat, pose_age_s)
        except ValueError as error:
            self.reason = str(error)
            return self._refuse(self.reason)
        limits = self._begin(position, quat, now_s)
        self.reason, self._alone_s = "moving to a pose of the contract", None
        goal_position, goal_quat = self._reset.goal
        self._position = limits.move(self._position, goal_position - self._position, position, _ANY_AXIS)
        turn = pose.rotation_between(self._quat, goal_quat)
        self._quat = self._upright = limits.turn(self._quat, turn, quat, _ANY_AXIS)
        if self._reset.seen((position, quat), (self._position, self._quat), now_s):
            self._reset, self._upright, self.reason = None, goal_quat, "no action yet"
        return GateOutput(*self.target, None, np.zeros(self.layout.size, np.float32), True, "")

    def _execute(self, action: np.ndarray, position: np.ndarray, quat: np.ndarray, limits: MotionLimits) -> GateOutput:
        old_position, old_quat = self._position, self._quat
        new = limits.move(old_position, self.layout.translation(action), position, self.layout.metres)
        if self.layout.turns:
            new_quat = limits.turn(old_quat, self.layout.rotation(action), quat, self.layout.radians)
            turn = pose.rotation_between(old_quat, new_quat)
        else:
            new_quat, turn = self.limits.pull(self._upright, quat), np.zeros(3)
        command = self._gripper.wish(self.layout.gripper(action))
        executed = self.layout.express(new - old_position, turn, self._gripper.executed)
        self._position, self._quat = new, new_quat
        return GateOutput(*self.target, command, executed, True, "")

    def _wait_for_reset(self, who: ActionSource) -> str:
        if self.resetting and who != ActionSource.HUMAN:
            return "resetting: actions wait until the arm has arrived"
        self._reset = None  # a human always takes over
        return ""

    def _begin(self, position: np.ndarray, quat: np.ndarray, now_s: float) -> MotionLimits:
        """Note a step, and return its limits."""
        elapsed_s = max(0.0, now_s - self._last_s)  # a clock that went back tells no time: no way to go, this once
        if not self._moved:  # the first command starts where the arm is now, not where it was when enabled
            self._anchor(position, quat)
        first, self._moved, self._last_s = not self._moved, True, now_s
        return self.limits if first else self.limits.after(elapsed_s)

    def _measured(self, position: ArrayLike, quat: ArrayLike, age_s: float) -> Pose:
        if age_s > self.config.pose_timeout_s:
            raise ValueError(self._stale)
        return _as_pose(position, quat)

    def _anchor(self, position: np.ndarray, quat: np.ndarray) -> None:
        self._position, self._quat, self._upright = position, quat, quat

    @property
    def _shortest_s(self) -> float:
        return self.config.min_interval * self.contract.period_s

    @property
    def _stale(self) -> str:
        return f"no measured pose for more than {self.config.pose_timeout_s:g} s"

    def _reject(self, reason: str) -> GateOutput:
        self.rejected += 1
        return self._refuse(reason)

    def _refuse(self, reason: str) -> GateOutput:
        return GateOutput(*self.target, None, np.zeros(self.layout.size, np.float32), False, reason)


def _as_pose(position: ArrayLike, quat: ArrayLike) -> Pose:
    """Checked copies. Raises ValueError unless both are finite and of the right length."""
    xyz, xyzw = np.array(position, dtype=np.float64), np.array(quat, dtype=np.float64)
    if xyz.shape != (3,) or xyzw.shape != (4,) or not np.isfinite(xyz).all():
        raise ValueError(f"the measured pose is not usable: position {xyz}, orientation {xyzw}")
    return xyz, pose.unit(xyzw)

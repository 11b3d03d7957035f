"""How far a target may move in one control period: step, speed, workspace box and lag behind the measured pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from world4rl_control import pose
from world4rl_data.contract import TaskContract

_SLACK = 1e-9  # rounding of a projection onto the limit itself


@dataclass(frozen=True)
class MotionLimits:
    """Limits of one robot set-up. Boxes and lengths in metres, angles in radians, steps per control period."""

    low: np.ndarray  # (3,) workspace box
    high: np.ndarray  # (3,)
    max_step_m: float
    max_step_rad: float
    max_lag_m: float
    max_lag_rad: float
    max_speed_m_s: float = float("inf")
    period_s: float = 1.0

    @classmethod
    def of(cls, contract: TaskContract) -> MotionLimits:
        """The contract's limits; its speed limit counts as a step per control period."""
        box = contract.workspace
        return cls(
            low=np.asarray(box.low, float),
            high=np.asarray(box.high, float),
            max_step_m=min(box.max_step_m, box.max_speed_m_s * contract.period_s),
            max_step_rad=box.max_step_rad,
            max_lag_m=box.max_lag_m,
            max_lag_rad=box.max_lag_rad,
            max_speed_m_s=box.max_speed_m_s,
            period_s=contract.period_s,
        )

    def after(self, elapsed_s: float) -> MotionLimits:
        """These limits for a step `elapsed_s` after the one before: one that comes early is the shorter for it, so that
        no rhythm of actions moves a target faster than `max_speed_m_s` and `max_step_rad` per period."""
        if elapsed_s >= self.period_s:
            return self
        metres, radians = self.max_speed_m_s * elapsed_s, self.max_step_rad * elapsed_s / self.period_s
        return replace(self, max_step_m=min(self.max_step_m, metres), max_step_rad=radians)

    def move(self, target: np.ndarray, wish: np.ndarray, measured: np.ndarray, per_axis: np.ndarray) -> np.ndarray:
        """Next target position (3,) when `target` is asked to move by `wish` (3,) [m], at most `per_axis` on each axis.

        Always within `max_lag_m` of `measured`: a target left further behind (the arm was pushed) is first pulled to
        the arm. A target outside the box (the arm was enabled or pushed there) may move inwards, never further out.
        """
        base = measured + pose.shorten(target - measured, self.max_lag_m)
        low, high = np.minimum(self.low, base), np.maximum(self.high, base)
        wished = _clip(base + pose.shorten(wish, self.max_step_m), low, high)
        # Projecting (not cutting the step short) lets the target slide sideways while the arm leans on something.
        allowed = measured + pose.shorten(wished - measured, self.max_lag_m)
        step = _clip(allowed - base, -per_axis, per_axis)
        step = pose.shorten(_clip(base + step, low, high) - base, self.max_step_m)
        reach = self.max_lag_m + _SLACK
        # base is feasible and the feasible set is convex, so some part of the way along the step is always allowed.
        return base + step * pose.largest_fraction(lambda t: pose.length(base + step * t - measured) <= reach)

    def turn(self, target: np.ndarray, wish: np.ndarray, measured: np.ndarray, per_axis: np.ndarray) -> np.ndarray:
        """Next target orientation (4,) when `target` is asked to turn by `wish` (3,) [rad, base frame]; as `move`."""
        base = self.pull(target, measured)
        step = pose.shorten(_clip(wish, -per_axis, per_axis), self.max_step_rad)
        wished = pose.rotate_by(step, base)
        allowed = self.pull(wished, measured)
        if allowed is wished:  # no limit touched, as nearly always
            return wished
        step = pose.shorten(_clip(pose.rotation_between(base, allowed), -per_axis, per_axis), self.max_step_rad)
        reach = self.max_lag_rad + _SLACK

        def within(t: float) -> bool:
            return pose.length(pose.rotation_between(measured, pose.rotate_by(step * t, base))) <= reach

        return pose.rotate_by(step * pose.largest_fraction(within), base)

    def pull(self, target: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """The orientation nearest `target` that is within `max_lag_rad` of `measured`."""
        lag = pose.rotation_between(measured, target)
        if pose.length(lag) <= self.max_lag_rad:
            return target
        return pose.rotate_by(pose.shorten(lag, self.max_lag_rad), measured)


def _clip(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(values, low), high)  # np.clip costs several times as much on three numbers

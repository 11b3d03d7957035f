"""Whether a reset's arm has arrived. No ROS in here."""

from __future__ import annotations

from world4rl_control import pose
from world4rl_control.gate_output import GateConfig
from world4rl_control.pose import Pose

# How little a pose must change to count as the same: a measurement's noise, and no arm that still moves.
_STILL_M, _STILL_RAD = 0.001, 0.005


class Arrival:
    """Arrived is an arm that comes close to the goal, or that rests near it while its target stands at the goal.

    The second is for arms that stop a little short for ever: an impedance controller without an integral part leaves
    friction, or a mass that nobody told it, as force divided by stiffness. Farther away at rest is blocked.
    """

    def __init__(self, goal: Pose, config: GateConfig) -> None:
        self.goal, self._config = goal, config
        self.left = ""  # the way from the measured pose to the goal, once seen
        self._rest: tuple[Pose, float] | None = None  # where the arm rests, and since when

    def seen(self, measured: Pose, target: Pose, now_s: float) -> bool:
        """Take a measured pose beside the target of that moment; whether the arm has arrived."""
        config = self._config
        metres, radians = _apart(measured, self.goal)
        self.left = f"{1e3 * metres:.0f} mm and {radians:.2f} rad"
        if metres <= config.arrived_m and radians <= config.arrived_rad:
            return True
        rest = self._rest
        if not _same(target, self.goal):
            self._rest = None
        elif rest is None or now_s < rest[1] or not _same(measured, rest[0]):
            self._rest = measured, now_s
        elif now_s - rest[1] >= config.rest_s:
            return metres <= config.settled_m and radians <= config.settled_rad
        return False


def _same(one: Pose, other: Pose) -> bool:
    metres, radians = _apart(one, other)
    return metres <= _STILL_M and radians <= _STILL_RAD


def _apart(one: Pose, other: Pose) -> tuple[float, float]:
    return pose.length(other[0] - one[0]), pose.length(pose.rotation_between(one[1], other[1]))

"""Backend of controllers that take a velocity and forget it soon (MoveIt Servo)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from world4rl_control import pose
from world4rl_control.arm_state import ArmState
from world4rl_control.backend import TwistCommand
from world4rl_control.pose import Pose

_STILL = TwistCommand(np.zeros(3), np.zeros(3))


@dataclass(frozen=True)
class ServoTwistConfig:
    """Speeds beyond these are shortened; `gain` [1/s] is what a metre (radian) from the target makes of speed."""

    max_speed_m_s: float
    max_speed_rad_s: float
    gain: float = 5.0


class ServoTwist:
    """Speed in proportion to the way that is left; zeros, again and again, while there is nowhere to go."""

    def __init__(self, config: ServoTwistConfig) -> None:
        self.config = config

    def begin(self) -> None:
        """Nothing is kept from one target to the next."""

    def follow(self, target: Pose, measured: Pose, arm: ArmState) -> TwistCommand:
        gain, config = self.config.gain, self.config
        linear = pose.shorten(gain * (target[0] - measured[0]), config.max_speed_m_s)
        angular = pose.shorten(gain * pose.rotation_between(measured[1], target[1]), config.max_speed_rad_s)
        return TwistCommand(linear, angular)

    def hold(self) -> TwistCommand:
        return _STILL

    def stop(self, measured: Pose | None, arm: ArmState) -> TwistCommand:
        return _STILL

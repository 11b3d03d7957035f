"""Backend of controllers that take an end-effector pose and keep the last one for ever (crisp_controllers)."""

from __future__ import annotations

from world4rl_control.arm_state import ArmState
from world4rl_control.backend import PoseCommand
from world4rl_control.pose import Pose


class CartesianPose:
    """The target is the command; to stop is to be told the measured pose once."""

    def begin(self) -> None:
        """Nothing is kept from one target to the next."""

    def follow(self, target: Pose, measured: Pose, arm: ArmState) -> PoseCommand:
        return PoseCommand(*target)

    def hold(self) -> None:
        return None

    def stop(self, measured: Pose | None, arm: ArmState) -> PoseCommand | None:
        # Without a fresh pose the last target is the best there is: it is at most the allowed lag away.
        return None if measured is None else PoseCommand(*measured)

"""What the gate asks of a motion controller, whoever that is: follow a target, hold, stop. No ROS in here.

A backend turns targets into commands; a publisher of its node file turns commands into messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from world4rl_control.arm_state import ArmState
from world4rl_control.pose import Pose


@dataclass(frozen=True)
class PoseCommand:
    """Be here: position (3,) [m] and orientation (4,) xyzw, base frame."""

    position: np.ndarray
    quat: np.ndarray


@dataclass(frozen=True)
class TwistCommand:
    """Move like this: linear (3,) [m/s] and angular (3,) [rad/s], base frame; for as long as it is repeated."""

    linear: np.ndarray
    angular: np.ndarray


@dataclass(frozen=True)
class JointCommand:
    """Be at these joint positions [rad] `seconds` from now."""

    names: tuple[str, ...]
    positions: np.ndarray
    seconds: float


Command = PoseCommand | TwistCommand | JointCommand


class Backend(Protocol):
    """One way to move the arm. Poses are those of the controller's own frame."""

    def begin(self) -> None:
        """The gate was enabled: forget what was before."""

    def follow(self, target: Pose, measured: Pose, arm: ArmState) -> Command:
        """The command that makes the controller follow the target. Raises ValueError where it cannot."""

    def hold(self) -> Command | None:
        """What to repeat while the gate holds; None for a controller that stays at its last target by itself."""

    def stop(self, measured: Pose | None, arm: ArmState) -> Command | None:
        """The command that ends all motion; `measured` is None when no fresh pose is known. None: say nothing."""

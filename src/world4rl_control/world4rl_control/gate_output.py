"""What the safety gate is told once, and what it says to each action. No ROS in here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from world4rl_control.gripper import GripperCommand


@dataclass(frozen=True)
class GateConfig:
    """Times of the gate [s], and when a reset counts as arrived."""

    pose_timeout_s: float = 0.25  # a measured pose older than this moves nothing
    min_interval: float = 0.8  # part of a control period that must lie between two actions; 1 would punish jitter
    arrived_m: float = 0.01  # this close it has arrived, also in passing
    arrived_rad: float = 0.05
    settled_m: float = 0.02  # this close it has arrived where it rests for rest_s and its target stands at the pose
    settled_rad: float = 0.1
    rest_s: float = 0.5


@dataclass(frozen=True)
class GateOutput:
    """What came of one action. When it was not accepted the target is the old one and nothing is to be sent."""

    target_position: np.ndarray  # float64 (3,) [m]
    target_quat: np.ndarray  # float64 (4,) xyzw
    gripper: GripperCommand | None  # None: no change
    executed: np.ndarray  # float32 (A,) in [-1, 1]; zeros when not accepted
    accepted: bool
    reason: str  # why it was not accepted; empty when it was

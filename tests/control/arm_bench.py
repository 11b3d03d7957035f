"""An ArmControl to try without ROS: its clock, an arm that speaks, and what is sent to the motion controller."""

from __future__ import annotations

import numpy as np

from world4rl_control.arm_control import ArmControl, ControlConfig
from world4rl_control.backend import PoseCommand
from world4rl_control.cartesian_pose import CartesianPose
from world4rl_control.instant import Instant
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource

CONTRACT = TaskContract.load("franka_sim_press")
HOME, DOWN = np.array([0.45, 0.0, 0.30]), np.array([1.0, 0.0, 0.0, 0.0])
POLICY, HUMAN = ActionSource.POLICY, ActionSource.HUMAN


class Bench:
    """An ArmControl on a clock of its own, whose arm speaks as long as it is told to."""

    def __init__(self, config: ControlConfig | None = None, frame=None, contract=CONTRACT) -> None:
        self.sent: list[PoseCommand] = []
        self.control = ArmControl(contract, CartesianPose(), self.sent.append, config or ControlConfig(), frame)
        self.time_s, self.position, self.quat = 100.0, HOME, DOWN
        self.set_by_s = 0.0  # by how much the node's clock was set, ahead or back
        self.silent: set[str] = set()

    @property
    def now(self) -> Instant:
        return Instant(self.time_s + self.set_by_s, self.time_s)

    def pass_time(self, seconds: float, step_s: float = 0.05) -> None:
        """Everything that speaks speaks, and the watch comes round."""
        for _ in range(round(seconds / step_s)):
            self.time_s += step_s
            if "pose" not in self.silent:
                self.control.arm.see_pose(self.position, self.quat, self.now.timing_s)
            for stream in CONTRACT.streams:
                if stream.topic not in self.silent:
                    self.control.streams.heard(stream.topic, self.now.timing_s)
            self.control.tick(self.now)

    def enable(self) -> None:
        self.pass_time(0.1)
        assert self.control.enable(self.now) == ""

    def act(self, values=(0.5, 0.0, 0.0), source=POLICY, age_s: float = 0.0):
        return self.control.act(values, source, self.now.ros_s - age_s, self.now)

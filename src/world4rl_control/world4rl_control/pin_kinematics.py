"""Kinematics of an arm from its URDF, by Pinocchio (package `pin`, optional). No ROS in here."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from world4rl_control.pose import Pose, unit

MISSING = "backend joint_trajectory needs Pinocchio for inverse kinematics: pip install pin (or choose cartesian_pose)"
_ROUNDS, _DAMPING, _EXACT = 60, 1e-4, 1e-5  # the last in m and rad


def pinocchio_is_there() -> bool:
    """Whether the library can be imported."""
    return importlib.util.find_spec("pinocchio") is not None


class PinKinematics:
    """Damped least squares on one link; joints that do not move it (fingers) stay where they are."""

    def __init__(self, urdf: str, link: str, base: str) -> None:
        """`urdf` is the text of a description. Raises ValueError for one that lacks the links, or without Pinocchio."""
        if not pinocchio_is_there():
            raise ValueError(MISSING)
        import pinocchio

        self._pin: Any = pinocchio
        model = pinocchio.buildModelFromXML(urdf)
        for name in (link, base):
            if not model.existFrame(name):
                raise ValueError(
                    f"the robot description has no link {name}: set tip_link, or the contract's base_frame"
                )
        support = list(model.supports[model.frames[model.getFrameId(link)].parentJoint])
        fixed = [i for i in range(1, model.njoints) if i not in support]
        self._model = pinocchio.buildReducedModel(model, fixed, pinocchio.neutral(model))
        self._data = self._model.createData()
        self._link, self._base = self._model.getFrameId(link), self._model.getFrameId(base)
        self.names: tuple[str, ...] = tuple(self._model.names[1:])
        if self._model.nq != len(self.names):
            raise ValueError("the robot description has joints of more than one number: only plain revolute arms work")

    def forward(self, joints: np.ndarray) -> Pose:
        """Pose of the link in the base frame for joint positions (J,) [rad]."""
        placed = self._placed(joints)
        return np.array(placed.translation), unit(self._pin.Quaternion(placed.rotation).coeffs())

    def inverse(self, target: Pose, start: np.ndarray) -> np.ndarray:
        """Joint positions (J,) within their limits, near `start`. Raises ValueError when the target is out of reach."""
        pin, model = self._pin, self._model
        wanted = pin.SE3(pin.Quaternion(*(float(target[1][i]) for i in (3, 0, 1, 2))).matrix(), target[0])
        joints = np.array(start, float)
        for _ in range(_ROUNDS):
            error = pin.log6(self._placed(joints).actInv(wanted)).vector
            if float(np.linalg.norm(error)) < _EXACT:
                return joints
            jacobian = pin.computeFrameJacobian(model, self._data, joints, self._link, pin.LOCAL)
            solved = np.linalg.solve(jacobian @ jacobian.T + _DAMPING * np.eye(6), error)
            joints = joints + jacobian.T @ solved
            joints = np.minimum(np.maximum(joints, model.lowerPositionLimit), model.upperPositionLimit)
        raise ValueError("no joint positions reach the target within the joints' limits: move the arm away from there")

    def _placed(self, joints: np.ndarray) -> Any:
        self._pin.framesForwardKinematics(self._model, self._data, np.asarray(joints, float))
        return self._data.oMf[self._base].actInv(self._data.oMf[self._link])

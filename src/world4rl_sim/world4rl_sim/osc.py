"""Operational-space control of the arm: a spring and damper at the tool, in the arm's own inertia (Khatib 1987)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .scenes import ARM_JOINTS, HOME_JOINTS, TOOL_SITE


@dataclass(frozen=True)
class OscConfig:
    """Gains in 1/s^2 (acceleration per error); damping is critical."""

    kp_position: float = 900.0
    kp_orientation: float = 400.0
    kp_posture: float = 20.0  # pulls the redundant joint towards home without moving the tool
    singularity_floor: float = 1e-4  # added to the inverse tool inertia near singular arm poses


class OperationalSpaceController:
    """Joint torques that draw the tool site to a target pose."""

    def __init__(self, model: Any, config: OscConfig = OscConfig()) -> None:
        self._model, self._config = model, config
        self._site = model.site(TOOL_SITE).id
        self._dofs = _range([model.joint(name).dofadr[0] for name in ARM_JOINTS])
        self._qpos = _range([model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._limits = model.actuator_ctrlrange[: len(ARM_JOINTS)]
        self._jacobian = np.zeros((6, model.nv))
        self._inertia = np.zeros((model.nv, model.nv))
        self._home = np.array(HOME_JOINTS)
        self._kp = np.repeat([config.kp_position, config.kp_orientation], 3)
        self._kd = 2.0 * np.sqrt(self._kp)
        self._floor = config.singularity_floor * np.eye(6)

    def torques(self, data: Any, position: np.ndarray, quat_wxyz: np.ndarray) -> np.ndarray:
        """Torques (7,) [N m] for the target pose (m, unit quaternion w first), within the motors' limits."""
        import mujoco

        mujoco.mj_jacSite(self._model, data, self._jacobian[:3], self._jacobian[3:], self._site)
        mujoco.mj_fullM(self._model, self._inertia, data.qM)
        jacobian = self._jacobian[:, self._dofs]
        inertia = self._inertia[self._dofs, self._dofs]
        velocity = data.qvel[self._dofs]

        error = np.concatenate([position - data.site_xpos[self._site], self._rotation_error(data, quat_wxyz)])
        acceleration = self._kp * error - self._kd * (jacobian @ velocity)

        inverse_times_jt = np.linalg.solve(inertia, jacobian.T)  # M^-1 J^T
        tool_inertia = np.linalg.inv(jacobian @ inverse_times_jt + self._floor)
        task_torque = jacobian.T @ (tool_inertia @ acceleration)

        kp = self._config.kp_posture
        posture = inertia @ (kp * (self._home - data.qpos[self._qpos]) - 2.0 * np.sqrt(kp) * velocity)
        posture -= jacobian.T @ (tool_inertia @ (inverse_times_jt.T @ posture))  # without effect on the tool
        torque = task_torque + posture + data.qfrc_bias[self._dofs]
        return np.clip(torque, self._limits[:, 0], self._limits[:, 1])

    def _rotation_error(self, data: Any, quat_wxyz: np.ndarray) -> np.ndarray:
        """Rotation vector [rad], base frame, from the tool's orientation to the target's."""
        import mujoco

        current, difference, vector = np.zeros(4), np.zeros(4), np.zeros(3)
        mujoco.mju_mat2Quat(current, data.site_xmat[self._site])
        mujoco.mju_negQuat(current, current)
        mujoco.mju_mulQuat(difference, quat_wxyz, current)
        mujoco.mju_quat2Vel(vector, difference, 1.0)
        return vector


def _range(addresses: list[int]) -> slice:
    """The arm's joints follow one another in the model: a slice is a view, an index array a copy 250 times a second."""
    first = int(addresses[0])
    if [int(a) for a in addresses] != list(range(first, first + len(addresses))):
        raise ValueError(f"the arm's joints lie apart in the model: {addresses}")
    return slice(first, first + len(addresses))

"""The tasks on the table: their objects, random starts and success predicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

Pose = tuple[np.ndarray, np.ndarray]  # position xyz [m], orientation quaternion xyzw


class Task(Protocol):
    """One task: what stands on the table, how it is laid out from a seed, when it is done."""

    name: str
    horizon: int  # control periods in an episode
    gripper_start: Literal["open", "closed"]
    tool_start_low: tuple[float, float, float]  # box of random tool positions at the start of an episode [m]
    tool_start_high: tuple[float, float, float]

    def add_objects(self, spec: Any) -> None:
        """Adds the task's bodies to a mujoco.MjSpec."""

    def place(self, model: Any, data: Any, rng: np.random.Generator) -> None:
        """Puts the objects where the episode starts."""

    def objects(self, model: Any, data: Any) -> dict[str, Pose]:
        """Poses of the named objects in the arm's base frame."""

    def paint(self, model: Any, data: Any) -> None:
        """Recolours what shows the task's state (a lamp); most tasks do nothing."""

    def success(self, model: Any, data: Any, tool: np.ndarray) -> bool:
        """True while the task is done; `tool` is the tool's position [m]."""


def _body_pose(data: Any, name: str) -> Pose:
    body = data.body(name)
    return body.xpos.copy(), np.roll(body.xquat, -1)


def _place_free_body(model: Any, data: Any, joint: str, position: np.ndarray, yaw: float = 0.0) -> None:
    address = model.joint(joint).qposadr[0]
    data.qpos[address : address + 3] = position
    data.qpos[address + 3 : address + 7] = (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))


def _add_cube(spec: Any, half_size: float, mass: float, rgba: tuple[float, ...], friction: float) -> None:
    import mujoco

    cube = spec.worldbody.add_body(name="cube", pos=(0.5, 0.0, half_size))
    cube.add_freejoint(name="cube")
    cube.add_geom(
        name="cube",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(half_size,) * 3,
        mass=mass,
        rgba=rgba,
        friction=(friction, 0.01, 0.0005),
        condim=4,
    )


@dataclass(frozen=True)
class PressButton:
    """Press a spring-loaded button down by 3 cm.

    With `lamp` the base turns from yellow to green when the button is pressed. The lamp paints the success into the
    picture, which makes a reward model's work trivial: results that use it must say so.
    """

    lamp: bool = True
    name: str = "press_button"
    horizon: int = 15
    gripper_start: Literal["open", "closed"] = "closed"
    tool_start_low: tuple[float, float, float] = (0.40, -0.12, 0.20)
    tool_start_high: tuple[float, float, float] = (0.60, 0.12, 0.32)
    cap_radius: float = 0.038
    travel: float = 0.04
    pressed: float = 0.03
    base_half_height: float = 0.03
    stiffness: float = 120.0
    damping: float = 8.0

    def add_objects(self, spec: Any) -> None:
        import mujoco

        base = spec.worldbody.add_body(name="button_base", pos=(0.5, 0.0, 0.0), mocap=True)
        base.add_geom(
            name="button_base",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=(0.0, 0.0, self.base_half_height),
            size=(0.055, 0.055, self.base_half_height),
            rgba=(0.95, 0.85, 0.10, 1.0),
            contype=0,
            conaffinity=0,
        )
        cap = spec.worldbody.add_body(name="button", pos=(0.5, 0.0, 0.0))
        for axis, direction in (("x", (1, 0, 0)), ("y", (0, 1, 0))):
            # Stiff slides instead of a mocap child: the cap's place is part of the start state.
            cap.add_joint(name=f"button_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=direction, damping=1e4)
        cap.add_joint(
            name="button_press",
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=(0, 0, -1),
            limited=True,
            range=(0.0, self.travel),
            stiffness=self.stiffness,
            damping=self.damping,
        )
        cap.add_geom(
            name="button",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            pos=(0.0, 0.0, 2 * self.base_half_height + self.travel / 2),
            size=(self.cap_radius, self.travel / 2, 0.0),
            mass=0.05,
            gravcomp=1.0,
            rgba=(0.85, 0.08, 0.08, 1.0),
        )

    def place(self, model: Any, data: Any, rng: np.random.Generator) -> None:
        raise NotImplementedError

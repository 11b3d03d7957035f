"""The tasks on the table: their objects, random starts and success predicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

_UNPRESSED_RGBA, _PRESSED_RGBA = (0.95, 0.85, 0.10, 1.0), (0.05, 0.90, 0.20, 1.0)

Pose = tuple[np.ndarray, np.ndarray]  # position xyz [m], orientation quaternion xyzw


class Task(Protocol):
    """One task: what stands on the table, how it is laid out from a seed, when it is done."""

    @property
    def name(self) -> str: ...

    @property
    def horizon(self) -> int:
        """Control periods in an episode."""

    @property
    def gripper_start(self) -> Literal["open", "closed"]: ...

    @property
    def tool_start_low(self) -> tuple[float, float, float]:
        """Low corner of the box of random tool positions at the start of an episode [m]."""

    @property
    def tool_start_high(self) -> tuple[float, float, float]: ...

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
    """Press a spring-loaded button down by 2 of its 4 cm.

    Cap and base are equally wide, so that a finger lands on the cap and goes all the way, or slides off to the table: a
    wide base would stop it just short of success, which nobody could tell from a picture.

    With `lamp` the base turns from yellow to green when the button is pressed. The lamp paints the success into the
    picture, which makes a reward model's work trivial: results that use it must say so.
    """

    lamp: bool = True
    name: str = "press_button"
    horizon: int = 15
    gripper_start: Literal["open", "closed"] = "closed"
    tool_start_low: tuple[float, float, float] = (0.40, -0.12, 0.18)
    tool_start_high: tuple[float, float, float] = (0.60, 0.12, 0.28)
    cap_radius: float = 0.045
    travel: float = 0.04
    pressed: float = 0.02
    base_half_height: float = 0.03
    stiffness: float = 120.0
    damping: float = 8.0

    def add_objects(self, spec: Any) -> None:
        import mujoco

        base = spec.worldbody.add_body(name="button_base", pos=(0.5, 0.0, 0.0))
        base.add_geom(
            name="button_base",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            pos=(0.0, 0.0, self.base_half_height),
            size=(self.cap_radius, self.base_half_height, 0.0),
            rgba=_UNPRESSED_RGBA,
        )
        cap = base.add_body(name="button", pos=(0.0, 0.0, 2 * self.base_half_height), gravcomp=1.0)
        cap.add_joint(
            name="button",
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
            pos=(0.0, 0.0, self.travel / 2),
            size=(self.cap_radius, self.travel / 2, 0.0),
            mass=0.05,
            rgba=(0.85, 0.08, 0.08, 1.0),
        )
        # The base stands on the world, so MuJoCo does not leave out this parent-child pair by itself.
        spec.add_exclude(bodyname1="button_base", bodyname2="button")

    def place(self, model: Any, data: Any, rng: np.random.Generator) -> None:
        model.body("button_base").pos[:2] = rng.uniform((0.43, -0.10), (0.57, 0.10))

    def objects(self, model: Any, data: Any) -> dict[str, Pose]:
        position, quat = _body_pose(data, "button")
        return {"button": (position + (0.0, 0.0, self.travel), quat)}  # the middle of the cap's top

    def paint(self, model: Any, data: Any) -> None:
        if self.lamp:
            model.geom("button_base").rgba = _PRESSED_RGBA if self._is_pressed(data) else _UNPRESSED_RGBA

    def success(self, model: Any, data: Any, tool: np.ndarray) -> bool:
        return self._is_pressed(data)

    def _is_pressed(self, data: Any) -> bool:
        return bool(data.joint("button").qpos[0] >= self.pressed)


@dataclass(frozen=True)
class PushCube:
    """Push a 5 cm cube forwards until its centre is inside a disc on the table."""

    name: str = "push_cube"
    horizon: int = 16
    gripper_start: Literal["open", "closed"] = "closed"
    tool_start_low: tuple[float, float, float] = (0.32, -0.12, 0.12)
    tool_start_high: tuple[float, float, float] = (0.44, 0.12, 0.22)
    half_size: float = 0.025
    zone_radius: float = 0.045

    def add_objects(self, spec: Any) -> None:
        import mujoco

        _add_cube(spec, self.half_size, mass=0.08, rgba=(0.90, 0.10, 0.10, 1.0), friction=0.5)
        zone = spec.worldbody.add_body(name="zone", pos=(0.62, 0.0, 0.001))
        zone.add_geom(
            name="zone",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=(self.zone_radius, 0.001, 0.0),
            rgba=(0.10, 0.85, 0.25, 1.0),
            contype=0,
            conaffinity=0,
        )

    def place(self, model: Any, data: Any, rng: np.random.Generator) -> None:
        cube = rng.uniform((0.46, -0.08), (0.52, 0.08))
        distance, direction = rng.uniform(0.11, 0.14), rng.uniform(-0.35, 0.35)
        zone = cube + distance * np.array([np.cos(direction), np.sin(direction)])
        model.body("zone").pos[:2] = zone
        _place_free_body(model, data, "cube", np.append(cube, self.half_size))

    def objects(self, model: Any, data: Any) -> dict[str, Pose]:
        return {name: _body_pose(data, name) for name in ("cube", "zone")}

    def paint(self, model: Any, data: Any) -> None:
        pass  # the cube on the disc is the only sign of success

    def success(self, model: Any, data: Any, tool: np.ndarray) -> bool:
        offset = data.body("cube").xpos[:2] - data.body("zone").xpos[:2]
        return bool(np.hypot(*offset) <= self.zone_radius)


@dataclass(frozen=True)
class LiftCube:
    """Grasp a 4.4 cm cube and raise it by 5 cm or more, still between the fingers."""

    name: str = "lift_cube"
    horizon: int = 20
    gripper_start: Literal["open", "closed"] = "open"
    tool_start_low: tuple[float, float, float] = (0.42, -0.12, 0.16)
    tool_start_high: tuple[float, float, float] = (0.58, 0.12, 0.26)
    half_size: float = 0.022
    raised: float = 0.05
    grasp_distance: float = 0.03

    def add_objects(self, spec: Any) -> None:
        _add_cube(spec, self.half_size, mass=0.05, rgba=(0.85, 0.10, 0.75, 1.0), friction=1.0)

    def place(self, model: Any, data: Any, rng: np.random.Generator) -> None:
        cube = rng.uniform((0.43, -0.10), (0.57, 0.10))
        _place_free_body(model, data, "cube", np.append(cube, self.half_size))

    def objects(self, model: Any, data: Any) -> dict[str, Pose]:
        return {"cube": _body_pose(data, "cube")}

    def paint(self, model: Any, data: Any) -> None:
        pass

    def success(self, model: Any, data: Any, tool: np.ndarray) -> bool:
        cube = data.body("cube").xpos
        is_raised = cube[2] >= self.half_size + self.raised
        return bool(is_raised and np.linalg.norm(cube - tool) <= self.grasp_distance)


TASKS: dict[str, type[Task]] = {"press_button": PressButton, "push_cube": PushCube, "lift_cube": LiftCube}


def make_task(name: str, **options: Any) -> Task:
    """The task called `name`; options are the fields of its dataclass (`lamp=False` for a button without a lamp)."""
    if name not in TASKS:
        raise ValueError(f"unknown task '{name}': choose one of {', '.join(TASKS)}")
    return TASKS[name](**options)

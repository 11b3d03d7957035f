"""The table-top scene around gym-hil's Panda: arm, table, lights and cameras, built with mujoco.MjSpec."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .pictures import plain_quality

ARM_JOINTS = tuple(f"joint{i}" for i in range(1, 8))
TOOL_SITE = "pinch"  # between the finger pads: the frame of current_pose and of every target
HOME_JOINTS = (0.0, -0.3072, 0.0, -2.3559, 0.0, 2.0487, 0.7854)  # rad; tool at (.45, 0, .30) m, pointing down
TIMESTEP_S = 0.002

_HULL_GROUP = 3  # gym-hil's group of collision geoms
_ARM_RGBA = (0.88, 0.88, 0.90, 1.0)
_HAND_RGBA = (0.20, 0.20, 0.23, 1.0)
_PAD_RGBA = (0.95, 0.55, 0.10, 1.0)
_TABLE_RGBA = (0.42, 0.40, 0.38, 1.0)

# Two fixed cameras look at the workspace from ahead, from the right and from the left of the arm: name -> look-at [m],
# distance [m], azimuth and elevation [deg]. One alone cannot tell near from far along its own line of sight.
_FIXED_CAMERAS = {"front": ((0.5, 0.0, 0.13), 0.68, 140.0, -35.0), "side": ((0.5, 0.0, 0.13), 0.68, 225.0, -40.0)}
# The wrist camera sits beside the gripper's base and looks along the fingers at the tool point (gripper-base frame, m).
_WRIST_POSITION, _WRIST_LOOKAT, _WRIST_UP, _WRIST_FOVY = (0.09, 0.0, 0.02), (0.0, 0.0, 0.16), (1.0, 0.0, 0.0), 72.0


def asset_directory() -> Path:
    """Folder of gym-hil's MJCF files, found without importing gym_hil (its import pulls in pygame and more).

    Raises RuntimeError when gym-hil is not installed.
    """
    spec = importlib.util.find_spec("gym_hil")
    if spec is None or spec.origin is None:
        raise RuntimeError("the simulated Franka needs gym-hil's robot model: pip install --no-deps gym-hil")
    return Path(spec.origin).parent / "assets"


def build_model(add_objects: Callable[[Any], None]) -> Any:
    """Compiles arm, table, cameras and the objects that `add_objects(spec)` adds, and returns the mujoco.MjModel."""
    import mujoco

    spec = mujoco.MjSpec.from_file(str(asset_directory() / "panda.xml"))
    _drop_visual_meshes(spec)
    _colour_arm(spec)
    spec.option.timestep = TIMESTEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.visual.headlight.ambient = (0.45, 0.45, 0.45)
    spec.visual.headlight.diffuse = (0.25, 0.25, 0.25)
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)
    spec.visual.map.znear = 0.01
    _add_surroundings(spec)
    _add_cameras(spec)
    add_objects(spec)
    model = spec.compile()
    plain_quality(model)
    return model


def _drop_visual_meshes(spec: Any) -> None:
    """The arm is drawn by its collision hulls: 200 k visual triangles cost 16 ms a frame without a graphics card."""
    visual = [geom for geom in spec.geoms if geom.classname.name.endswith("/visual")]
    kept = {geom.meshname for geom in spec.geoms if geom.classname.name.endswith("/collision")}
    for geom in visual:
        geom.delete()
    for mesh in list(spec.meshes):
        name = mesh.name or Path(mesh.file).stem
        if name not in kept:
            mesh.delete()


def _colour_arm(spec: Any) -> None:
    for geom in spec.geoms:
        if geom.classname.name == "panda/collision":
            geom.rgba = _ARM_RGBA
        elif geom.classname.name.startswith("2f85"):
            geom.rgba = _HAND_RGBA
        if geom.classname.name.startswith("pad"):
            geom.rgba = _PAD_RGBA
            geom.group = _HULL_GROUP


def _add_surroundings(spec: Any) -> None:
    import mujoco

    world = spec.worldbody
    world.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_BOX, pos=(0.45, 0.0, -0.02), size=(0.75, 0.8, 0.02), rgba=_TABLE_RGBA
    )
    world.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, pos=(0, 0, -0.6), size=(3, 3, 0.01), rgba=(0.15, 0.17, 0.22, 1)
    )
    world.add_light(
        pos=(0.6, -0.5, 1.5), dir=(-0.1, 0.35, -1.0), diffuse=(0.6, 0.6, 0.6), specular=(0, 0, 0), castshadow=False
    )


def _add_cameras(spec: Any) -> None:
    for name, (lookat, distance, azimuth_deg, elevation_deg) in _FIXED_CAMERAS.items():
        azimuth, elevation = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
        forward = np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        position = np.array(lookat) - distance * forward
        quat = _look_at(position, lookat, (0.0, 0.0, 1.0))
        spec.worldbody.add_camera(name=name, pos=position, quat=quat, fovy=45.0)
    hand = next(body for body in spec.bodies if body.name == "base")
    hand.add_camera(
        name="wrist", pos=_WRIST_POSITION, quat=_look_at(_WRIST_POSITION, _WRIST_LOOKAT, _WRIST_UP), fovy=_WRIST_FOVY
    )


def _look_at(position: Any, target: Any, up: Any) -> np.ndarray:
    """Quaternion (w, x, y, z) of a MuJoCo camera (looks along -z, y up) at `position` that sees `target` centred."""
    import mujoco

    backward = np.asarray(position, dtype=float) - np.asarray(target, dtype=float)
    backward /= np.linalg.norm(backward)
    right = np.cross(np.asarray(up, dtype=float), backward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(backward, right), backward], axis=1)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, rotation.ravel())
    return quat

"""Headless pictures of a MuJoCo scene, as fast as software rasterising allows: the one place that opens OpenGL."""

from __future__ import annotations

import atexit
import weakref
from typing import Any

import numpy as np

from world4rl_data.contract import ContractError, TaskContract

from .gl import choose_gl


def plain_quality(model: Any) -> None:
    """Leave out what costs most and shows least in small pictures: multisampling and shadows.

    To be called before the first picture: OpenGL's buffers are made by these figures. At 64 pixels on 2 cores
    Meta-World's own settings take about 100 ms a frame, these 3 to 8.
    """
    model.vis.quality.offsamples = 0
    model.vis.quality.shadowsize = 0


def picture_size(contract: TaskContract, side: int) -> tuple[int, int]:
    """Height and width of every camera's pictures: `side`, or more where the contract asks for it.

    It does by streams that are larger, and by crops: those are taken to be cut from the middle of a camera's picture.
    Where it gives the cameras' size, that is it. Raises ContractError where it gives several.
    """
    given = {stream.camera for stream in contract.images if stream.camera is not None}
    if len(given) > 1:
        raise ContractError(f"contract '{contract.name}': simulated cameras are all of one size, got {sorted(given)}")
    for width, height in given:
        return height, width
    cut = [(stream, stream.crop or (0, 0, 0, 0)) for stream in contract.images]
    heights = [max(stream.height, 2 * y + height) for stream, (_, y, _, height) in cut]
    widths = [max(stream.width, 2 * x + width) for stream, (x, _, width, _) in cut]
    return max([side, *heights]), max([side, *widths])


def free_camera(lookat: tuple[float, float, float], distance: float, azimuth: float, elevation: float) -> Any:
    """A mujoco.MjvCamera that looks at `lookat` [m] from `distance` [m]; azimuth and elevation in degrees."""
    import mujoco

    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.lookat[:] = lookat
    camera.distance, camera.azimuth, camera.elevation = distance, azimuth, elevation
    return camera


class ScenePictures:
    """Pictures of one model's scene. The OpenGL context is made with the first picture and freed by `close` or at exit.

    `option` is a mujoco.MjvOption that says which geoms are drawn; None draws what MuJoCo draws by itself.
    """

    def __init__(self, model: Any, height: int, width: int, option: Any = None) -> None:
        choose_gl()
        self._model, self._height, self._width, self._option = model, height, width, option
        self._renderer: Any = None

    def take(self, data: Any, camera: Any) -> np.ndarray:
        """Picture of the state `data`, uint8 (height, width, 3) RGB; `camera` is a name, an index or an MjvCamera."""
        if self._renderer is None:
            self._open()
        self._renderer.update_scene(data, camera=camera, scene_option=self._option)
        return self._renderer.render()

    def _open(self) -> None:
        import mujoco

        buffer = self._model.vis.global_  # MuJoCo's own is 640 x 480
        buffer.offheight, buffer.offwidth = max(buffer.offheight, self._height), max(buffer.offwidth, self._width)
        self._renderer = mujoco.Renderer(self._model, self._height, self._width)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = False
        atexit.register(_close_at_exit, weakref.ref(self))

    def close(self) -> None:
        """Free the OpenGL context; a next picture makes a new one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _close_at_exit(reference: weakref.ref[ScenePictures]) -> None:
    """An OpenGL context left to the interpreter's end is freed too late and fills the terminal with errors."""
    pictures = reference()
    if pictures is not None:
        pictures.close()

"""Where Meta-World's tasks are looked at from."""

from __future__ import annotations

from typing import Any

from ..pictures import free_camera

# Look-at [m], distance [m], azimuth and elevation [deg]. Both see the hand's whole space and the objects of all tasks,
# from two sides: one alone cannot tell near from far along its own line of sight. Meta-World's own cameras stand so far
# away that objects are 2 of 32 pixels.
VIEWS = {
    "front": ((0.0, 0.66, 0.13), 0.85, 155.0, -32.0),
    "side": ((0.0, 0.66, 0.13), 0.85, 35.0, -37.0),
}


def camera(name: str, model: Any) -> Any:
    """The camera of an image stream: one of `VIEWS`, or one of Meta-World's own by its name.

    Raises:
        ValueError: there is no such camera.
    """
    if name in VIEWS:
        return free_camera(*VIEWS[name])
    own = [model.cam(number).name for number in range(model.ncam)]
    if name not in own:
        raise ValueError(f"Meta-World has no camera '{name}': name the contract's image streams {', '.join(VIEWS)}, "
                         f"{' or '.join(own)}")  # fmt: skip
    return name

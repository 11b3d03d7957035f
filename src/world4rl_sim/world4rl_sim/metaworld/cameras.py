"""Where Meta-World's tasks are looked at from."""

from __future__ import annotations

from typing import Any

from ..pictures import free_camera

# Look-at [m], distance [m], azimuth and elevation [deg]. Both see where hand and object meet, from two sides: one alone
# cannot tell near from far along its own line of sight. Nearer, levers would leave the picture; farther away there is
# more arm to dream and less of what decides. Meta-World's own cameras stand so far off that objects are 2 of 32 pixels.
VIEWS = {
    "front": ((0.0, 0.70, 0.15), 0.70, 155.0, -32.0),
    "side": ((0.0, 0.70, 0.15), 0.70, 35.0, -37.0),
    # For small things at the far end of the table, such as door-lock's lever.
    "front_near": ((0.0, 0.80, 0.12), 0.50, 155.0, -30.0),
    "side_near": ((0.0, 0.80, 0.12), 0.50, 35.0, -30.0),
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

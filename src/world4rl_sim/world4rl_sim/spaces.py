"""gymnasium's spaces of a task contract: what every simulated environment is given and gives."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from world4rl_data.contract import TaskContract


def action_space(contract: TaskContract) -> gymnasium.spaces.Box:
    """float32 ``(A,)`` in [-1, 1]."""
    return gymnasium.spaces.Box(-1.0, 1.0, (contract.action_dim,), np.float32)


def observation_space(contract: TaskContract) -> gymnasium.spaces.Dict:
    """``{"images": {stream: uint8 (H, W, 3)}, "proprio": float32 (P,)}``."""
    images: dict[str, gymnasium.Space[Any]]
    images = {s.name: gymnasium.spaces.Box(0, 255, (s.height, s.width, 3), np.uint8) for s in contract.images}
    proprio = gymnasium.spaces.Box(-np.inf, np.inf, (contract.proprio_dim,), np.float32)
    return gymnasium.spaces.Dict({"images": gymnasium.spaces.Dict(images), "proprio": proprio})

"""An untrained policy of a small contract, and the messages of the robot that it looks at."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from world4rl_data.contract import TaskContract
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig

SIZE = 16


def small_contract(name: str = "small") -> TaskContract:
    """Two cameras of 16 x 16 pixels and the position of the hand, 10 Hz."""
    values = TaskContract.load("franka_sim_push").to_dict()
    values["name"] = name
    topics = {"front": "/camera/camera/color/image_raw", "wrist": "/wrist_camera/camera/color/image_raw"}
    values["images"] = [{"name": n, "topic": t, "height": SIZE, "width": SIZE} for n, t in topics.items()]
    values["proprioception"] = values["proprioception"][:1]
    return TaskContract.from_dict(values)


def small_policy(contract: TaskContract, seed: int = 0, history: int = 2) -> GaussianPolicy:
    """Its actions depend visibly on the pictures, which a fresh policy's hardly do."""
    torch.manual_seed(seed)
    config = PolicyConfig(contract.image_channels, SIZE, contract.action_dim, history=history, width=8, hidden=32)
    policy = GaussianPolicy(config, contract).eval()
    torch.nn.init.normal_(policy.mean.weight, std=0.3)
    return policy


def image(pixels: np.ndarray) -> SimpleNamespace:
    """What is read of a sensor_msgs/Image."""
    height, width, _ = pixels.shape
    return SimpleNamespace(
        height=height, width=width, encoding="rgb8", step=3 * width, is_bigendian=0, data=pixels.tobytes()
    )


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def pose() -> SimpleNamespace:
    return SimpleNamespace(pose=SimpleNamespace(position=SimpleNamespace(x=0.4, y=0.0, z=0.2)))

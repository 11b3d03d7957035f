"""Untrained models of a small contract: what they dream is noise, but it is dreamt by the real code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.reward.model import RewardConfig, RewardModel

SIZE = 16


def small_contract(name: str = "small") -> TaskContract:
    """Two cameras of 16 x 16 pixels and the position of the hand."""
    values = TaskContract.load("franka_sim_push").to_dict()
    values["name"] = name
    topics = {"front": "/camera/camera/color/image_raw", "wrist": "/wrist_camera/camera/color/image_raw"}
    values["images"] = [{"name": n, "topic": t, "height": SIZE, "width": SIZE} for n, t in topics.items()]
    values["proprioception"] = values["proprioception"][:1]
    return TaskContract.from_dict(values)


def world_model(
    contract: TaskContract, history: int = 4, tasks: tuple[str, ...] = (), composed: bool = False
) -> WorldModel:
    torch.manual_seed(0)
    size = (contract.image_channels, SIZE, contract.action_dim, contract.proprio_dim)
    network = DenoiserConfig(
        *size, history=history, stem=2, widths=(8, 8), task_dim=4 if tasks else 0, composed=composed
    )
    return WorldModel(WorldModelConfig(network, tasks=tasks), contract).eval()


def reloaded(config: WorldModelConfig, contract: TaskContract, folder: Path) -> WorldModel:
    """A world model of `config` out of its checkpoint, which has been seen to dream what it dreamed before."""
    torch.manual_seed(0)
    model = WorldModel(config, contract).eval().requires_grad_(False)
    again = WorldModel.load(model.save(folder))
    assert again.config == config
    frames, actions = torch.zeros(1, 4, contract.image_channels, SIZE, SIZE), torch.rand(1, 4, contract.action_dim)
    dreamt = [m.predict(frames, 2 * actions - 1, torch.Generator().manual_seed(1)) for m in (model, again)]
    assert torch.equal(*dreamt)
    return again


def reward_model(contract: TaskContract, progress: bool = False) -> RewardModel:
    torch.manual_seed(1)
    return RewardModel(
        RewardConfig(contract.image_channels, width=8, progress=progress, threshold=0.9), contract
    ).eval()


def policy(contract: TaskContract, history: int = 2) -> GaussianPolicy:
    torch.manual_seed(2)
    config = PolicyConfig(contract.image_channels, SIZE, contract.action_dim, history=history, width=8, hidden=32)
    return GaussianPolicy(config, contract).eval()


def save_all(folder: Path, contract: TaskContract) -> dict[str, Path]:
    """Checkpoint folders by kind."""
    models = {"world_model": world_model(contract), "reward": reward_model(contract), "policy": policy(contract)}
    return {name: model.save(folder / name) for name, model in models.items()}


def camera_image(rgb: np.ndarray, encoding: str = "rgb8") -> SimpleNamespace:
    """What the service reads of a sensor_msgs/Image."""
    height, width, channels = rgb.shape
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=width * channels, is_bigendian=0, data=rgb.tobytes()
    )


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def small_store(
    path: Path, contract: TaskContract, lengths: tuple[int, ...] = (5, 3), task: str = "small"
) -> EpisodeStore:
    """Episodes of noise; rows of the first episode come first."""
    with EpisodeStore.create(path, contract) as store:
        for number, length in enumerate(lengths):
            rng = np.random.default_rng(number)
            pixels = (length + 1, SIZE, SIZE, 3)
            episode = Episode(
                images={s.name: rng.integers(0, 256, pixels, dtype=np.uint8) for s in contract.images},
                proprio=rng.normal(size=(length + 1, contract.proprio_dim)).astype(np.float32),
                actions=rng.uniform(-1, 1, (length, contract.action_dim)).astype(np.float32),
                action_sources=np.full(length, ActionSource.SCRIPTED, np.uint8),
                stamps=np.arange(length + 1, dtype=np.int64) * 100_000_000 + 1,
                task=task,
                source="expert",
                outcome=Outcome.FAILURE,
                success_index=None,
                contract_hash=contract.hash,
                episode_id=f"episode-{number}",
            )
            store.append(episode)
    return store

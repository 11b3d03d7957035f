"""Untrained models of the shape that the preset `tiny` trains, the configs' default: they cost what trained ones cost,
and know nothing. The graph tells a dream's success probability without a verdict: the reward model's threshold does
nothing here."""

from __future__ import annotations

from pathlib import Path

import torch

from world4rl_data.contract import TaskContract
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.reward.model import RewardConfig, RewardModel


def save_models(folder: Path, contract: TaskContract) -> dict[str, Path]:
    """Checkpoint folders: world_model, reward, and two policies to exchange, policy_a and policy_b."""
    torch.manual_seed(0)
    size = contract.images[0].height
    network = DenoiserConfig(contract.image_channels, size, contract.action_dim, contract.proprio_dim)
    models = {
        "world_model": WorldModel(WorldModelConfig(network), contract),
        "reward": RewardModel(RewardConfig(contract.image_channels), contract),
    }
    for name in ("policy_a", "policy_b"):
        config = PolicyConfig(contract.image_channels, size, contract.action_dim)
        models[name] = GaussianPolicy(config, contract)
    return {name: Path(model.eval().save(folder / name)) for name, model in models.items()}

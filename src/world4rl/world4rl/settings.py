"""Settings of the pipeline that no learning package has a config for, and the preset that holds all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from world4rl.refinement.checkpoint_choice import Selection
from world4rl.refinement.dream_bc import DreamBcConfig
from world4rl.refinement.refine import Caution, RefineConfig, with_horizon
from world4rl_data.contract import ContractError, TaskContract
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import PolicyConfig
from world4rl_policy.bc import BcTraining
from world4rl_policy.ppo_config import PpoConfig
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.measures.replay_check import ReplayCheckConfig
from world4rl_wm.model.denoiser import Denoiser, DenoiserConfig
from world4rl_wm.model.edm import EdmConfig
from world4rl_wm.model.world_model import WorldModelConfig
from world4rl_wm.reward.batches import RewardTraining
from world4rl_wm.reward.calibration import RewardCalibration
from world4rl_wm.reward.model import RewardConfig
from world4rl_wm.reward.network import RewardNetwork
from world4rl_wm.training.step import WorldModelTraining


@dataclass(frozen=True)
class CollectSettings:
    """Real episodes. Noise is the standard deviation added to each action, in action units (1 = a full step).

    `demonstrations` of the scripted operator, with `demonstration_noise`, are recorded over DDS; `policy_episodes` of
    the BC policy are dealt out evenly over the noise levels `policy_noise`; `scout_episodes` are of the scout policy
    (BC on the demonstrations and on the successes among those), with `scout_noise`; `random_episodes` explore.
    """

    demonstrations: int
    demonstration_noise: float
    policy_episodes: int
    policy_noise: tuple[float, ...]
    scout_episodes: int
    scout_noise: float
    random_episodes: int
    workers: int

    def __post_init__(self) -> None:
        if self.policy_episodes and not self.policy_noise:
            raise ValueError(
                f"collect.policy_noise is empty, but {self.policy_episodes} episodes are dealt out over its levels: "
                "give one or more, or collect.policy_episodes=0"
            )
        for name in ("demonstration_noise", "policy_noise", "scout_noise"):
            if np.min(getattr(self, name), initial=0.0) < 0:
                raise ValueError(f"collect.{name} is {getattr(self, name)}: a standard deviation is not below 0")


@dataclass(frozen=True)
class WorldModelSettings:
    """`denoiser` is a DenoiserConfig without what the contract decides (channels, image size, action dimension)."""

    denoiser: dict[str, Any]
    edm: EdmConfig
    change_scale: float
    still_change: float
    training: WorldModelTraining


@dataclass(frozen=True)
class RewardSettings:
    """`network` is a RewardNetwork without its channels, which the contract decides. With `learn_dreams` it learns from
    the episodes as its world model dreams them again as well, with what really came of them."""

    network: dict[str, Any]
    learn_dreams: bool
    training: RewardTraining
    calibration: RewardCalibration


@dataclass(frozen=True)
class BcSettings:
    """`network` is a PolicyConfig without what the contract decides; `filtered_training` is for filtered BC."""

    network: dict[str, Any]
    training: BcTraining
    filtered_training: BcTraining


@dataclass(frozen=True)
class ReplaySettings:
    """Episodes of the scout policy at PPO's noise, until there are enough of both outcomes or `max_episodes`.

    That maximum alone decides where it is no more than `successes` and `failures` together, as in the presets `tiny`.
    """

    successes: int
    failures: int
    max_episodes: int
    limits: ReplayCheckConfig


@dataclass(frozen=True)
class EvaluationSettings:
    """`episodes` held-out start states in the simulator; `concordance_episodes`, 0: none, from which refinement's
    policies are tried in dreams and in the simulator; `graph_episodes` deployments over DDS."""

    episodes: int
    concordance_episodes: int
    graph_episodes: int


@dataclass(frozen=True)
class LoopSettings:
    """A later round: roll-outs with `noise`, of which `check_share` is kept from training for the replay check.

    World model and reward model go on from where they are for so many steps, and PPO has `iterations`. The world
    model's warm-up is that of its first training, at most a fifth of these steps.
    """

    noise: float
    check_share: float
    world_model_steps: int
    reward_steps: int
    iterations: int

    def __post_init__(self) -> None:
        if not 0 < self.check_share < 1:
            raise ValueError(
                f"loop.check_share is {self.check_share}: some roll-outs are learned from and some checked on, give a "
                "share above 0 and below 1"
            )


@dataclass(frozen=True)
class Preset:
    """All settings of a run. A preset in ``presets/*.yaml`` gives every one of them.

    The config dataclasses have defaults too, for who uses them without a preset: the values of ``tiny``, but for the
    few that a test names with the reason (``tests/pipeline/test_preset_defaults.py``).
    """

    description: str
    collect: CollectSettings
    bc: BcSettings
    world_model: WorldModelSettings
    reward: RewardSettings
    imagination: ImaginationConfig
    ppo: PpoConfig
    selection: Selection
    dream_bc: DreamBcConfig
    verified_success: bool
    caution: Caution
    replay_check: ReplaySettings
    evaluation: EvaluationSettings
    loop: LoopSettings

    def __post_init__(self) -> None:
        remembered = self.world_model.denoiser.get("history", DenoiserConfig.history)
        if self.policy_history > remembered:
            raise ValueError(
                f"bc.network.history is {self.policy_history}, but of a dream no more than the newest {remembered} "
                "frames are known (world_model.denoiser.history)"
            )
        if self.imagination.progress_reward and not self.reward.network.get("progress", RewardNetwork.progress):
            raise ValueError(
                f"imagination.progress_reward is {self.imagination.progress_reward}, but no network tells progress: "
                "give reward.network.progress=true as well"
            )

    @property
    def policy_history(self) -> int:
        """Frames that the policy looks back on."""
        return self.bc.network.get("history", PolicyConfig.history)

    def world_model_config(self, contract: TaskContract) -> WorldModelConfig:
        """The world model's network and noise levels for the contract's frames and actions."""
        settings = self.world_model
        denoiser = DenoiserConfig(**_sizes(contract), proprio_dim=contract.proprio_dim, **settings.denoiser)
        return WorldModelConfig(denoiser, settings.edm, settings.change_scale, still_change=settings.still_change)

    def require_trainable(self, contract: TaskContract) -> None:
        """Refuse what would fail only when a model is made, hours after a run has begun.

        Raises:
            ContractError, ValueError: the settings make no networks for the contract's frames and actions.
            FileNotFoundError: there are no such pre-trained weights.
        """
        with torch.device("meta"):  # shapes only
            Denoiser(self.world_model_config(contract).denoiser)
        pretrained = self.reward.training.pretrained
        if pretrained is not None and not Path(pretrained).is_file():
            raise FileNotFoundError(f"reward.training.pretrained: there is no file {pretrained}")

    def later_world_model_training(self) -> WorldModelTraining:
        """That of a later round: its learning rate rises and falls within the round's own steps."""
        steps, first = self.loop.world_model_steps, self.world_model.training
        return replace(first, steps=steps, warm_up=min(first.warm_up, steps // 5))

    def refine_config(self, real: EpisodeStore) -> RefineConfig:
        """PPO, the dreams it practises in, as long as the `real` episodes were, and how its checkpoint is chosen."""
        imagination = replace(self.imagination, observed_frames=self.policy_history)
        own = RefineConfig(self.ppo, imagination, self.selection, self.caution, self.verified_success, self.dream_bc)
        return with_horizon(own, real)

    def policy_config(self, contract: TaskContract) -> PolicyConfig:
        """The policy's network for the contract's frames and actions."""
        return PolicyConfig(**_sizes(contract), **self.bc.network)

    def reward_config(self, contract: TaskContract) -> RewardConfig:
        """The reward model's network for the contract's frames, not yet calibrated."""
        return RewardConfig(image_channels=contract.image_channels, **self.reward.network)


CONTRACT_DECIDES = ("image_channels", "image_size", "action_dim", "proprio_dim", "tasks")
"""What no preset gives; a policy's `tasks` are those of its episodes."""
RUN_DECIDES = ("imagination.horizon", "imagination.observed_frames", "ppo.horizon")
"""What no preset gives either, for it follows from the run: how long its real episodes were
(`world4rl.refinement.refine.with_horizon`), and how many frames its policy looks back on (`bc.network.history`).
Records of earlier versions have it: the horizons decided nothing there, and other frames than the policy's ended a
run."""
NETWORKS: dict[str, type] = {
    "world_model.denoiser": DenoiserConfig,
    "bc.network": PolicyConfig,
    "reward.network": RewardNetwork,
}
"""Mappings in a preset that are these dataclasses without the fields of `CONTRACT_DECIDES`."""
MAY_BE_ZERO = (
    *("collect.policy_episodes", "collect.scout_episodes", "collect.random_episodes"),
    *("bc.training.shift", "bc.filtered_training.shift", "dream_bc.shift", "reward.training.shift"),
    *("world_model.denoiser.task_dim", "world_model.training.warm_up", "world_model.training.rollout_steps"),
    *("dream_bc.steps", "ppo.value_warm_up", "replay_check.limits.min_episodes"),
    *("evaluation.concordance_episodes", "evaluation.graph_episodes"),
)
"""The integers of a preset that may be 0, which means none. All the others are at least 1,"""
RISES_AND_FALLS = ("reward.training.steps", "world_model.training.state.steps", "loop.reward_steps")
"""and these `LEAST_STEPS`, for their learning rate rises and falls within them."""

FRAME_UNIT = 8
"""Pixels of a frame that become one cell in the networks of policy and state model."""


def _sizes(contract: TaskContract) -> dict[str, Any]:
    """What the contract decides; ContractError where the networks cannot take its frames."""
    size = contract.images[0].height
    for stream in contract.images:
        if (stream.height, stream.width) != (size, size) or size % FRAME_UNIT:
            raise ContractError(
                f"contract '{contract.name}': image stream '{stream.name}' has {stream.width} x {stream.height} "
                f"pixels; the networks take squares of one size, a multiple of {FRAME_UNIT}: change its size"
            )
    return {"image_channels": contract.image_channels, "image_size": size, "action_dim": contract.action_dim}

"""PPO of stable-baselines3 in the imagination of a finished run; what it learns is a checkpoint like any other.

    pip install stable-baselines3
    python examples/stable_baselines3_ppo.py runs/demo --out models/sb3
    world4rl evaluate --policy models/sb3 --episodes 50

The dream is shaped like gymnasium's vector environments; `DreamVecEnv` puts it into stable-baselines3's shape. The
policy network is World4RL's own, so that its weights can be saved as a World4RL policy, with the contract beside them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from world4rl_data.contract import TaskContract
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig, image_encoder
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.model.frames import StartStates
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel


class DreamVecEnv(VecEnv):
    """An `ImaginationEnv` as stable-baselines3 wants it: NumPy arrays, and a dream that ended starts anew by itself.

    Observations are float32 ``(num_envs, observed_frames, C, H, W)`` in [-1, 1], actions ``(num_envs, A)`` in [-1, 1].
    """

    def __init__(self, dream: ImaginationEnv, seed: int = 0):
        super().__init__(dream.num_envs, dream.single_observation_space, dream.single_action_space)
        self.dream, self._seed = dream, seed

    def reset(self) -> np.ndarray:
        observation, _ = self.dream.reset(seed=self._seed)
        self._seed += 1
        return observation.cpu().numpy()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = torch.as_tensor(actions, dtype=torch.float32)

    @torch.no_grad()
    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        last, reward, terminated, truncated, info = self.dream.step(self._actions)
        ended = terminated | truncated
        infos: list[dict[str, Any]] = [{"is_success": bool(success)} for success in info["success"]]
        for index in ended.nonzero().flatten().tolist():
            infos[index]["terminal_observation"] = last[index].cpu().numpy()
            # Success within the horizon is the task, so running out of it is a failure: no "TimeLimit.truncated",
            # which would let the learner add the value of a future that does not count.
        following = self.dream.reset(options={"reset_mask": ended})[0] if ended.any() else last
        return following.cpu().numpy(), reward.cpu().numpy(), ended.cpu().numpy(), infos

    def close(self) -> None:
        self.dream.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.dream, attr_name, None)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"all dreams are one batch: set {attr_name} on the ImaginationEnv itself")

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **options: Any) -> list[Any]:
        raise AttributeError(f"all dreams are one batch: call {method_name} on the ImaginationEnv itself")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))


class Frames(BaseFeaturesExtractor):
    """World4RL's image encoder: frames ``(B, history, C, H, W)`` to ``(B, hidden)``."""

    def __init__(self, space: spaces.Box, config: PolicyConfig):
        super().__init__(space, config.hidden)
        self.encoder = image_encoder(config)

    def forward(self, frames: Tensor) -> Tensor:
        return self.encoder(frames.flatten(1, 2))


class FramePolicy(ActorCriticPolicy):
    """World4RL's `GaussianPolicy` for stable-baselines3: its mean in [-1, 1], the critic with an encoder of its own."""

    def __init__(self, *arguments: Any, config: PolicyConfig, start: GaussianPolicy | None = None, **options: Any):
        self._config = config
        self._start = None if start is None else (start.encoder.state_dict(), start.mean.state_dict())
        own = {"features_extractor_class": Frames, "features_extractor_kwargs": {"config": config}}
        options |= {"net_arch": [], "share_features_extractor": False, **own}
        super().__init__(*arguments, **options)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        head = self.action_net
        if not isinstance(head, nn.Linear):
            raise TypeError("the action must be a box, so that the policy's head is linear")
        if self._start is not None:
            encoder, mean = self._start
            self.pi_features_extractor.encoder.load_state_dict(encoder)
            head.load_state_dict(mean)
        self.action_net = nn.Sequential(head, nn.Tanh())
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def to_world4rl(self, contract: TaskContract) -> GaussianPolicy:
        """The same policy, for World4RL's nodes and commands."""
        policy = GaussianPolicy(self._config, contract)
        policy.encoder.load_state_dict(self.pi_features_extractor.encoder.state_dict())
        policy.mean.load_state_dict(self.action_net[0].state_dict())
        policy.log_std.data.copy_(self.log_std.detach())
        return policy.eval().requires_grad_(False)


def learner(dream: ImaginationEnv, start: GaussianPolicy, std: float, seed: int, **options: Any) -> PPO:
    """PPO on a dream, from a World4RL policy on, exploring with the standard deviation `std` [action units]."""
    settings = {"config": start.config, "start": start, "log_std_init": float(np.log(std))}
    horizon = dream.config.horizon
    defaults = {
        "n_steps": horizon,
        "batch_size": 256,
        "n_epochs": 3,
        "learning_rate": 1e-4,
        "gamma": 0.97,
        "verbose": 1,
    }
    return PPO(
        FramePolicy, DreamVecEnv(dream, seed), policy_kwargs=settings, seed=seed, device="cpu", **(defaults | options)
    )


def dream_of(run: Path, num_envs: int, horizon: int) -> tuple[ImaginationEnv, TaskContract]:
    """The first world and reward model of a run; dreams begin where its demonstrations and roll-outs did."""
    world_model = WorldModel.load(run / "checkpoints/world_model_a")
    reward_model = RewardModel.load(run / "checkpoints/reward_a")
    store = EpisodeStore.open(run / "stores/demonstrations+practice")
    starts = StartStates.of(store, range(len(store.infos)))
    config = ImaginationConfig(num_envs=num_envs, horizon=horizon)
    return ImaginationEnv([world_model], [reward_model], starts, config), world_model.contract


def main(argv: Sequence[str] | None = None) -> None:
    """Practise, say how the dream went, and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    argument = partial(options.add_argument, type=int)
    options.add_argument("run", type=Path, help="folder of a finished `world4rl demo`")
    options.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    options.add_argument("--start", type=Path, help="policy to begin with; without it, the run's `start`")
    argument("--steps", default=30000, help="imagined control periods, of all dreams together")
    argument("--num-envs", default=64, help="dreams at a time")
    argument("--horizon", default=15, help="length of a dream [control periods]")
    argument("--seed", default=0, help="of everything random")
    given = options.parse_args(argv)
    dream, contract = dream_of(given.run, given.num_envs, given.horizon)
    start = GaussianPolicy.load(given.start or given.run / "checkpoints/start", contract=contract)
    ppo = learner(dream, start, std=0.15, seed=given.seed)
    ppo.learn(given.steps)
    policy = ppo.policy
    assert isinstance(policy, FramePolicy)
    policy.to_world4rl(contract).save(given.out, metrics={"imagined_steps": ppo.num_timesteps}, seed=given.seed)
    print(f"{given.out} is written; how to count its successes: --help")


if __name__ == "__main__":
    main()

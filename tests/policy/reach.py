"""A task that PPO solves in seconds: say with both actions how bright the picture is."""

from __future__ import annotations

import torch
from small_policy import small_contract
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_policy.ppo_config import PpoConfig

NETWORK = PolicyConfig(image_channels=1, image_size=8, action_dim=2, history=1, width=8, hidden=32)
CONFIG = PpoConfig(
    horizon=3,
    epochs=4,
    minibatch_size=96,
    policy_learning_rate=3e-3,
    value_learning_rate=3e-3,
    std=0.3,
    bc_coefficient=0.0,
    target_kl=1.0,
    value_warm_up=0,
)


def make_policy(seed: int = 0) -> GaussianPolicy:
    torch.manual_seed(seed)
    return GaussianPolicy(NETWORK, small_contract())


class Reach:
    """The picture's brightness is the goal; an action within 0.25 of it, in every dimension, ends the episode. Every
    success is verified."""

    def __init__(self, num_envs: int = 64, reachable: bool = True):
        self.num_envs, self.reachable = num_envs, reachable
        self.generator = torch.Generator().manual_seed(0)

    def _observation(self) -> Tensor:
        return self.goal.view(-1, 1, 1, 1, 1).expand(-1, 1, 1, 8, 8).clone()

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        if seed is not None:
            self.generator.manual_seed(seed)
        self.goal = torch.rand(self.num_envs, generator=self.generator) * 1.6 - 0.8
        self.alive = torch.ones(self.num_envs, dtype=torch.bool)
        return self._observation(), {}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        near = (actions - self.goal.unsqueeze(1)).abs().amax(1) < 0.25
        terminated = self.alive & near & self.reachable
        self.alive = self.alive & ~terminated
        info = {"verified": terminated.long()}
        return self._observation(), terminated.float(), terminated, torch.zeros_like(terminated), info

"""Our PPO against stable-baselines3's numbers, and a classic control task that the trainer has to solve alone."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from made_rollouts import made_rollouts
from reach import NETWORK
from small_policy import small_contract
from torch import Tensor, nn

from world4rl_policy.actor_critic import GaussianPolicy, ValueFunction
from world4rl_policy.advantage import generalized_advantage
from world4rl_policy.ppo import Ppo
from world4rl_policy.ppo_config import PpoConfig
from world4rl_policy.ppo_loss import clipped_objective

STEPS, ENVS = 16, 8
GAMMA, GAE_LAMBDA = 0.97, 0.9


@pytest.mark.parametrize("seed", range(3))
def test_advantages_and_returns_are_those_of_stable_baselines3(seed: int) -> None:
    """There the end of the horizon is a `done` as well, and what follows an end belongs to the next episode."""
    buffers = pytest.importorskip("stable_baselines3.common.buffers", reason="pip install stable-baselines3")
    batch = made_rollouts(seed, STEPS, ENVS, 0.1)
    space = spaces.Box(-1, 1, (1,))
    buffer = buffers.RolloutBuffer(STEPS, space, space, "cpu", GAE_LAMBDA, GAMMA, ENVS)
    started = np.ones(ENVS)
    for t in range(STEPS):
        value, nothing = batch.values[t], np.zeros((ENVS, 1))
        buffer.add(nothing, nothing, batch.rewards[t].numpy(), started, value, torch.zeros(ENVS))
        started = batch.ended[t].numpy()
    buffer.compute_returns_and_advantage(torch.randn(ENVS), dones=np.ones(ENVS))
    advantage, returns = generalized_advantage(batch, GAMMA, GAE_LAMBDA)
    valid = batch.valid.numpy()
    assert not valid.all()
    np.testing.assert_allclose(advantage.numpy()[valid], buffer.advantages[valid], atol=1e-5)
    np.testing.assert_allclose(returns.numpy()[valid], buffer.returns[valid], atol=1e-5)


class Idle(gym.Env):
    """Nothing happens: what is compared is what the learner makes of given numbers."""

    observation_space = spaces.Box(-1, 1, (3,))
    action_space = spaces.Box(-1, 1, (2,))

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.mark.parametrize("clip", [0.1, 0.3])
def test_the_policy_loss_is_that_of_stable_baselines3(clip: float) -> None:
    """One update on steps whose acting policy was another one: ratios far from 1, many of them clipped."""
    library = pytest.importorskip("stable_baselines3", reason="pip install stable-baselines3")
    ppo = library.PPO(
        "MlpPolicy",
        Idle(),
        n_steps=64,
        batch_size=64,
        n_epochs=1,
        clip_range=clip,
        normalize_advantage=False,
        seed=0,
        device="cpu",
    )
    ppo.learn(64)
    buffer, generator = ppo.rollout_buffer, np.random.default_rng(0)
    buffer.advantages = generator.standard_normal(buffer.advantages.shape).astype(np.float32)
    buffer.log_probs = buffer.log_probs + 0.3 * generator.standard_normal(buffer.log_probs.shape).astype(np.float32)
    with torch.no_grad():
        _, log_prob, _ = ppo.policy.evaluate_actions(
            torch.as_tensor(buffer.observations), torch.as_tensor(buffer.actions)
        )
    ours = clipped_objective(
        log_prob - torch.as_tensor(buffer.log_probs).flatten(), torch.as_tensor(buffer.advantages).flatten(), clip
    )
    ppo.train()
    theirs = ppo.logger.name_to_value
    assert -float(ours.gain.mean()) == pytest.approx(theirs["train/policy_gradient_loss"], abs=1e-5)
    assert float(ours.kl.mean()) == pytest.approx(theirs["train/approx_kl"], abs=1e-5)
    assert float(ours.clipped.mean()) == pytest.approx(theirs["train/clip_fraction"], abs=1e-6)
    assert 0.05 < float(ours.clipped.mean()) < 0.95


class CartPole:
    """Gymnasium's cart with a pole, pushed left or right by the sign of the action; reward 1 for every step it stands.

    Its four numbers stand where a picture's channels would.
    """

    def __init__(self, num_envs: int):
        self.num_envs = num_envs
        self._envs = gym.make_vec("CartPole-v1", num_envs, vectorization_mode="vector_entry_point")

    def _frames(self, state: np.ndarray) -> Tensor:
        return torch.as_tensor(state, dtype=torch.float32).view(self.num_envs, 1, 4, 1, 1)

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        state, _ = self._envs.reset(seed=seed)
        return self._frames(state), {}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        state, reward, terminated, truncated, _ = self._envs.step((actions[:, 0] > 0).long().numpy())
        ended = (torch.as_tensor(x) for x in (terminated, truncated))
        return self._frames(state), torch.as_tensor(reward, dtype=torch.float32), *ended, {}


def two_layers(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())


def standing(policy: GaussianPolicy, steps: int) -> float:
    """Mean number of steps that the pole stands under the mean action."""
    env = CartPole(20)
    observation, _ = env.reset(seed=99)
    alive, total = torch.ones(20, dtype=torch.bool), torch.zeros(20)
    for _ in range(steps):
        observation, _, terminated, _, _ = env.step(policy.act(observation))
        total += alive
        alive &= ~terminated
    return float(total.mean())


def test_balances_a_pole() -> None:
    """With normalised values, for returns here are up to 50 and not 1."""
    horizon = 120
    torch.manual_seed(0)
    network = replace(NETWORK, image_channels=4, action_dim=1, hidden=32)
    policy, value = GaussianPolicy(network, small_contract()), ValueFunction(network)
    policy.encoder, value.encoder = two_layers(network.hidden), two_layers(network.hidden)
    config = PpoConfig(
        horizon=horizon,
        epochs=5,
        policy_learning_rate=2e-3,
        value_learning_rate=2e-3,
        gamma=0.98,
        std=0.5,
        value_warm_up=1,
        normalise_value=True,
        target_kl=0.03,
    )
    assert standing(policy, horizon) < 60
    ppo = Ppo(policy, CartPole(16), config, seed=0, value=value)
    for _ in range(20):
        ppo.iterate()
    assert standing(policy, horizon) > 110

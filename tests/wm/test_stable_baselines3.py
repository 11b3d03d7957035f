"""The example with stable-baselines3: its PPO practises in the dream, and World4RL runs what it has learned."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from small_models import policy as small_policy
from small_models import small_contract, small_store, world_model
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.model.frames import StartStates, to_float

pytest.importorskip("stable_baselines3", reason="pip install stable-baselines3")

CONTRACT = small_contract()
ENVS, HORIZON = 4, 3


class SecondStep:
    """Calls the first dream solved in every frame; the others never."""

    threshold = 0.5

    def probability(self, frames: Tensor) -> Tensor:
        return torch.tensor([1.0] + [0.0] * (len(frames) - 1))


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples/stable_baselines3_ppo.py"
    spec = importlib.util.spec_from_file_location("stable_baselines3_ppo", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture()
def dream(tmp_path: Path) -> ImaginationEnv:
    starts = StartStates.of(small_store(tmp_path / "store", CONTRACT), [0, 1])
    config = ImaginationConfig(num_envs=ENVS, horizon=HORIZON, hits=2)
    return ImaginationEnv([world_model(CONTRACT).requires_grad_(False)], [SecondStep()], starts, config)  # type: ignore[list-item]


def test_dreams_that_end_begin_anew_and_hand_over_their_last_frames(example: ModuleType, dream: ImaginationEnv) -> None:
    env = example.DreamVecEnv(dream)
    firsts = to_float(dream.starts.frames).numpy()
    observation = env.reset()
    assert observation.shape == (ENVS, *env.observation_space.shape) and observation.dtype == np.float32
    done = []
    for _ in range(2 * HORIZON):
        observation, reward, ended, infos = env.step(np.zeros((ENVS, CONTRACT.action_dim), np.float32))
        done.append(ended.tolist())
        assert [info["is_success"] for info in infos] == reward.astype(bool).tolist()
        for index in range(ENVS):
            started = any(np.array_equal(observation[index, -1], first) for first in firsts)
            assert started == ended[index] == ("terminal_observation" in infos[index])
            if ended[index]:
                assert not np.array_equal(infos[index]["terminal_observation"], observation[index])
    assert [row[0] for row in done] == [False, True] * HORIZON  # two hits in a row, each time
    assert [row[1] for row in done] == [False, False, True] * 2  # the horizon


def test_what_it_learns_is_a_policy_of_ours(example: ModuleType, dream: ImaginationEnv, tmp_path: Path) -> None:
    start = small_policy(CONTRACT)
    ppo = example.learner(dream, start, std=0.2, seed=0, verbose=0, learning_rate=1e-2)
    frames = torch.rand(5, *dream.single_observation_space.shape) * 2 - 1

    def chosen() -> Tensor:
        return torch.from_numpy(ppo.predict(frames.numpy(), deterministic=True)[0])

    assert torch.allclose(chosen(), start.act(frames), atol=1e-6), "it begins as the policy that it was given"
    before = chosen()
    ppo.learn(2 * ENVS * HORIZON)
    folder = ppo.policy.to_world4rl(CONTRACT).save(tmp_path / "sb3")
    saved = GaussianPolicy.load(folder, contract=CONTRACT)
    assert torch.allclose(saved.act(frames), chosen(), atol=1e-6)
    assert not torch.allclose(saved.act(frames), before, atol=1e-3), "it has learned something"
    assert saved.std.tolist() == pytest.approx(ppo.policy.log_std.exp().tolist())

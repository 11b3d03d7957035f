"""Dreams of several tasks in one batch: each is read by the reward model of its own task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import reward_model, small_contract, world_model

from world4rl_wm.checkpoint_identity import module_digest
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.model.frames import StartStates
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.reward.task_rewards import TaskRewards

CONTRACT = small_contract()
SIZE = CONTRACT.images[0].height


def reader(shift: float, threshold: float) -> RewardModel:
    model = reward_model(CONTRACT)
    return RewardModel(replace(model.config, shift=shift, threshold=threshold, progress=True), CONTRACT).eval()


@pytest.fixture(scope="module")
def rewards() -> TaskRewards:
    torch.manual_seed(0)
    return TaskRewards({"open": reader(20.0, 0.25), "close-v3": reader(-20.0, 0.5)})


def test_each_row_is_read_by_its_own_model(rewards: TaskRewards) -> None:
    frames = torch.rand(5, CONTRACT.image_channels, SIZE, SIZE) * 2 - 1
    tasks = ["open", "close-v3", "close-v3", "open", "open"]
    routed = rewards.of(tasks)
    assert routed.threshold.tolist() == [0.25, 0.5, 0.5, 0.25, 0.25]
    for found, asked in ((routed.probability, "probability"), (routed.progress, "progress")):
        alone = [
            getattr(rewards.models[task], asked)(frame[None])[0] for task, frame in zip(tasks, frames, strict=True)
        ]
        torch.testing.assert_close(found(frames), torch.stack(alone))
    assert rewards.tells_progress


def test_a_task_without_a_reward_model_is_refused(rewards: TaskRewards) -> None:
    with pytest.raises(ValueError, match="reward models for open, close-v3 only, not for lift"):
        rewards.of(["open", "lift"])


def test_its_identity_hangs_on_every_model(rewards: TaskRewards) -> None:
    other = TaskRewards({"open": rewards.models["open"], "close-v3": reader(-20.0, 0.6)})
    assert module_digest(rewards) == module_digest(TaskRewards(dict(rewards.models.items())))
    assert module_digest(other) != module_digest(rewards)


def test_the_environment_rewards_by_task(rewards: TaskRewards) -> None:
    """One model calls everything a success, the other nothing; after a partial reset the tasks are those of the new
    starts."""
    frames = torch.randint(0, 256, (4, CONTRACT.image_channels, SIZE, SIZE), dtype=torch.uint8)
    tasks = np.array(["open", "close-v3", "open", "close-v3"])
    starts = StartStates(frames, torch.zeros(4, CONTRACT.proprio_dim), tasks)
    config = ImaginationConfig(num_envs=4, horizon=3, hits=1, progress_reward=0.1)
    env = ImaginationEnv([world_model(CONTRACT)], [rewards], starts, config)
    _, info = env.reset(seed=0, rows=torch.tensor([0, 1, 3, 2]))
    assert info["tasks"] == env.tasks == ["open", "close-v3", "close-v3", "open"]
    *_, told = env.step(torch.zeros(4, CONTRACT.action_dim))
    assert told["success"].tolist() == [True, False, False, True]
    for _ in range(4):  # random starts
        _, info = env.reset(options={"reset_mask": torch.tensor([True, True, False, False])})
        assert info["tasks"][:2] == [str(tasks[row]) for row in info["start"][:2]]
        *_, told = env.step(torch.zeros(4, CONTRACT.action_dim))
        assert told["success"][:2].tolist() == [task == "open" for task in info["tasks"][:2]]

"""A policy that is told its task: it acts otherwise in the same picture, and says so where it cannot be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from reach import CONFIG, NETWORK
from small_policy import SIZE, small_contract, small_policy
from torch import Tensor

from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig, ValueFunction
from world4rl_policy.bc import BcTraining, Demonstrations, train_and_save
from world4rl_policy.policy_loading import load_runner
from world4rl_policy.policy_runner import RunnerConfig
from world4rl_policy.ppo import Ppo, start_kl
from world4rl_policy.task_modulation import TaskError
from world4rl_wm.checkpoint import CONFIG as CONFIG_FILE

CONTRACT = small_contract()
TASKS = ("close", "open")
GREY = torch.zeros(1, 2, 6, SIZE, SIZE)


def grey_episode(number: int, task: str, length: int = 4) -> Episode:
    """Nothing to see; to close is to do 0.5, to open is to do -0.5."""
    pixels = np.full((length + 1, SIZE, SIZE, 3), 127, np.uint8)
    return Episode(
        images={s.name: pixels for s in CONTRACT.images},
        proprio=np.zeros((length + 1, CONTRACT.proprio_dim), np.float32),
        actions=np.full((length, 3), 0.5 if task == "close" else -0.5, np.float32),
        action_sources=np.full(length, ActionSource.SCRIPTED, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) + 1,
        task=task,
        source="expert",
        outcome=Outcome.SUCCESS,
        success_index=length,
        contract_hash=CONTRACT.hash,
        episode_id=f"{task}-{number}",
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """Seven episodes of one task, one of the other."""
    with EpisodeStore.create(tmp_path_factory.mktemp("tasks") / "store", CONTRACT) as store:
        for number, task in enumerate(["close", *["open"] * 7]):
            store.append(grey_episode(number, task))
    return store


@pytest.fixture(scope="module")
def checkpoint(store: EpisodeStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = PolicyConfig(6, SIZE, 3, history=2, width=8, hidden=32, tasks=TASKS)
    out = tmp_path_factory.mktemp("policies") / "both"
    config = BcTraining(steps=150, batch_size=16, learning_rate=3e-3)
    return train_and_save(store, range(8), out, network, config, 0, progress=False)


def test_it_learns_two_actions_for_one_picture(checkpoint: Path) -> None:
    policy = GaussianPolicy.load(checkpoint)
    assert policy.config.tasks == TASKS
    both = policy.act(GREY.expand(2, -1, -1, -1, -1), tasks=policy.task_numbers(("open", "close")))
    torch.testing.assert_close(both[:, 0], torch.tensor([-0.5, 0.5]), atol=0.1, rtol=0)
    for task, action in zip(("open", "close"), both, strict=True):
        told = policy.for_task(task)
        assert told.history == 2 and told.contract == CONTRACT
        torch.testing.assert_close(told.act(GREY)[0], action)
        runner = load_runner(str(checkpoint), "cpu", CONTRACT, RunnerConfig(task=task))
        np.testing.assert_allclose(runner.infer((GREY * 0 + 127.5).to(torch.uint8)), action.numpy(), atol=0.05)


def test_a_task_that_it_cannot_know_is_refused(checkpoint: Path) -> None:
    policy = GaussianPolicy.load(checkpoint)
    for refused in (lambda: policy.for_task("lift"), lambda: policy.task_numbers(["open", "lift"])):
        with pytest.raises(TaskError, match="has not learned 'lift', only close, open"):
            refused()
    with pytest.raises(TaskError, match="tell it which of close, open"):
        policy.act(GREY)
    with pytest.raises(TaskError, match=f"'{CONTRACT.name}'"):
        load_runner(str(checkpoint), "cpu", CONTRACT, RunnerConfig())


def test_a_policy_that_is_told_nothing_is_the_one_of_before(tmp_path: Path) -> None:
    """The same weights from the same seed, and a checkpoint of when there were no tasks loads."""
    policy = small_policy(CONTRACT)
    assert not [name for name in (*policy.state_dict(), *ValueFunction(policy.config).state_dict()) if "modul" in name]
    assert policy.for_task("anything") is policy and policy.task_numbers(["anything"]) is None
    path = policy.save(tmp_path / "old")
    values = yaml.safe_load((path / CONFIG_FILE).read_text())
    assert values.pop("tasks") == []
    (path / CONFIG_FILE).write_text(yaml.safe_dump(values))
    loaded = GaussianPolicy.load(path)
    assert loaded.config == policy.config and torch.equal(loaded.act(GREY), policy.act(GREY))


def test_each_task_is_imitated_as_often(store: EpisodeStore) -> None:
    *_, tasks = Demonstrations(store, range(8), 2, TASKS).sample(2000, torch.Generator().manual_seed(0))
    assert 900 < int((tasks == 0).sum()) < 1100
    with pytest.raises(ValueError, match="episodes of open"):
        Demonstrations(store, range(8), 2, ("close",))


class TwoTasks:
    """One grey picture; the action wanted, within 0.3 in both dimensions, hangs on the task, and a step ends it."""

    num_envs = 64

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict]:
        tasks = [TASKS[number % 2] for number in range(self.num_envs)]
        self.goal = torch.tensor([0.5 if task == "close" else -0.5 for task in tasks]).unsqueeze(1)
        return torch.zeros(self.num_envs, 1, 1, 8, 8), {"tasks": tasks}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        near = (actions - self.goal).abs().amax(1) < 0.3
        ended = torch.ones_like(near)
        return torch.zeros(self.num_envs, 1, 1, 8, 8), near.float(), near, ended & ~near, {}


def test_ppo_learns_what_each_task_wants() -> None:
    torch.manual_seed(0)
    policy = GaussianPolicy(replace(NETWORK, tasks=TASKS), CONTRACT)
    start = GaussianPolicy(policy.config, CONTRACT)
    start.load_state_dict(policy.state_dict())
    ppo = Ppo(policy, TwoTasks(), replace(CONFIG, horizon=1, kl_coefficient=1e-3), seed=0)
    for _ in range(40):
        row = ppo.iterate()
    assert row["imagined_success"] > 0.4  # one action for both would reach a quarter at most
    frames, numbers = torch.zeros(2, 1, 1, 8, 8), policy.task_numbers(TASKS)
    close, away = policy.act(frames, tasks=numbers).mean(1).tolist()
    assert close > 0.25 and away < -0.25
    assert start_kl(policy, start, frames, 0.3, numbers) > 0.1
    assert ppo.values(frames, numbers).shape == (2,)

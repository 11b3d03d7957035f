"""One world model of several tasks: it is told which by a vector, learned with it, and does without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import small_contract, world_model

from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.measures.replay import replay
from world4rl_wm.model.frames import FrameWindows, StartStates
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.training.monitor import TrainingMonitor
from world4rl_wm.training.step import WorldModelTraining
from world4rl_wm.training.train_world_model import train_world_model

TASKS = ("push", "press", "push")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """Two tasks that look alike, but what the same action does differs."""
    contract = small_contract()
    episodes = []
    for number, task in enumerate(TASKS):
        rise = 8 if task == "push" else -8
        steps = (128 + rise * np.arange(9)).astype(np.uint8)
        frames = np.broadcast_to(steps[:, None, None, None], (9, 16, 16, 3))
        rest, still = np.zeros((9, contract.proprio_dim)), np.zeros((8, contract.action_dim))
        episodes.append(made_episode(contract, number, 8, frames=frames, proprio=rest, actions=still))
        episodes[-1].task = task
    return made_store(tmp_path_factory.mktemp("tasks") / "store", contract, episodes)


def told(task_dim: int = 4) -> WorldModelConfig:
    config = world_model(small_contract()).config
    return replace(config, denoiser=replace(config.denoiser, task_dim=task_dim, proprio_dim=0))


def test_the_told_task_decides_what_is_dreamt(store: EpisodeStore, tmp_path: Path) -> None:
    """The first frame does not show which task it is: only a model that listens can dream both."""
    torch.set_num_threads(1)
    config = WorldModelTraining(80, 16, 3e-3, warm_up=5, rollout_share=0.0)
    path = train_world_model(store, range(3), told(), tmp_path / "wm", config, progress=False)
    model = WorldModel.load(path)
    assert model.config.tasks == ("press", "push")
    starts = StartStates.of(store, [0, 1])
    still = torch.zeros(2, store.contract.action_dim)
    context = Dream.from_start(model, starts).context
    change = Dream.from_start(model, starts, 0).step(still) - context[:, -1]
    push, press = change.mean((1, 2, 3)).tolist()
    assert push - press > 0.03  # in truth 0.125
    silent = Dream(model, context, seed=0).step(still)
    assert torch.isfinite(silent).all()  # a graph that does not say the task still dreams
    assert replay(model, store, range(3)).frames.shape == (3, 9, 6, 16, 16)


def test_a_trainings_pictures_are_predicted_with_the_task_told(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = WorldModel(replace(told(), tasks=("press", "push")), small_contract())
    windows = FrameWindows(store, range(3), tasks=model.config.tasks)
    heard, step = [], model.step
    monkeypatch.setattr(model, "step", lambda *asked, **named: heard.append(named["task"]) or step(*asked, **named))
    monitor = TrainingMonitor(tmp_path, 0)
    monitor.pictures(0, model, windows)
    monitor.close()
    named = [windows.infos[e].task for e in windows.episode[torch.linspace(0, 23, 6).long()]]
    assert set(named) == {"press", "push"} and torch.equal(heard[0], model.task_vectors(named))


def test_task_vectors_and_unknown_tasks(store: EpisodeStore) -> None:
    config = replace(told(), tasks=("press", "push"))
    model = WorldModel(config, small_contract())
    vectors = model.task_vectors(["push", "press", "push"])
    assert vectors is not None and torch.equal(vectors, model.task_table.vectors.weight[[1, 0, 1]])
    with pytest.raises(ValueError, match="has not learned lift, only press, push"):
        model.task_vectors(["lift"])
    with pytest.raises(ValueError, match="episodes of press, but the model knows push only"):
        FrameWindows(store, [0, 1], tasks=("push",))
    assert WorldModel(world_model(small_contract()).config, small_contract()).task_vectors(["lift"]) is None


def test_width_and_names_go_together() -> None:
    for config in (told(), replace(told(0), tasks=("push",))):
        with pytest.raises(ValueError, match="give both or neither"):
            WorldModel(config, small_contract())
    assert told(0).told(["push"]).tasks == () and told().told(["push", "press", "push"]).tasks == ("press", "push")


def test_windows_and_starts_know_their_tasks(store: EpisodeStore) -> None:
    windows = FrameWindows(store, range(3), tasks=("press", "push"))
    assert windows.window(windows.current).task.tolist() == [1] * 8 + [0] * 8 + [1] * 8
    moved = windows.window(windows.current[:2]).to("cpu")
    assert moved.task is not None and moved.task.tolist() == [1, 1]
    assert FrameWindows(store, range(3)).window(windows.current[:1]).to("cpu").task is None
    starts = StartStates.of(store, range(3))
    assert starts[torch.tensor([1, 1])].tasks.tolist() == ["press", "press"]
    assert [part.tasks.tolist() for part in starts.split(2)] == [["push", "press"], ["push"]]

"""A world model of several tasks that watches: it is told the episode's task, or the policy's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import moving_dot
import pytest
import torch

from world4rl_data.store import EpisodeStore
from world4rl_policy.surprise import episode_surprise, parts_of
from world4rl_policy.trust_calibration import Calibration, calibrate
from world4rl_policy.trust_limit import TRUST, TrustError, TrustLimit
from world4rl_policy.trust_watch import TrustWatch
from world4rl_wm.checkpoint_identity import weights_digest
from world4rl_wm.imagination.request import Refusal
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig

TASKS = ("lift", "push")


def model_of(tasks: tuple[str, ...]) -> WorldModel:
    torch.manual_seed(0)
    network = DenoiserConfig(6, moving_dot.SIZE, 3, proprio_dim=3, widths=(8, 8), layers=1, task_dim=4 if tasks else 0)
    return WorldModel(WorldModelConfig(network, tasks=tasks), moving_dot.CONTRACT).eval()


def store_of(path: Path, tasks: tuple[str, ...]) -> EpisodeStore:
    """Short episodes of these tasks."""
    with EpisodeStore.create(path, moving_dot.CONTRACT) as made:
        for number, task in enumerate(tasks):
            episode = moving_dot.episode(number, length=4)
            episode.task = task
            made.append(episode)
    return made


def listen(model: WorldModel, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the model is told with each of its steps, by name; empty: nothing."""
    heard: list[str] = []
    step = model.step

    def noted(*asked: Any, **named: Any) -> Any:
        vector = named["task"]
        known = [] if vector is None else [t for t in TASKS if torch.equal(model.task_vectors([t]), vector)]
        heard.append("".join(known))
        return step(*asked, **named)

    monkeypatch.setattr(model, "step", noted)
    return heard


def saved(folder: Path, model: WorldModel) -> Path:
    """With a limit."""
    path = model.save(folder)
    limit = TrustLimit(dict.fromkeys(parts_of(model.contract), 1.0), 1.0, 1, weights_digest(path), 1, 1, 0, (0.0, 1.0))
    (path / TRUST).write_text(json.dumps(asdict(limit)))
    return path


def test_stored_episodes_are_judged_as_their_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, store = model_of(TASKS), store_of(tmp_path / "store", TASKS)
    heard = listen(model, monkeypatch)
    episode_surprise(model, store, 0)
    episode_surprise(model, store, 1)
    assert heard == ["lift"] * 4 + ["push"] * 4


@pytest.mark.parametrize("known, heard_of", [(TASKS, set(TASKS)), ((), {""})])
def test_calibration_tells_every_episodes_task(
    known: tuple[str, ...], heard_of: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the monitor counts false alarms; nothing to a model that has learned no tasks by name."""
    model, store = model_of(known), store_of(tmp_path / "store", TASKS * 2)
    path = model.save(tmp_path / "model")
    heard = listen(model, monkeypatch)
    calibrate(model, path, store, range(4), Calibration(steps=1, margin=1e6))
    assert set(heard) == heard_of and len(heard) >= 16


def test_an_episode_of_an_unknown_task_is_refused(tmp_path: Path) -> None:
    model, store = model_of(TASKS), store_of(tmp_path / "store", ("wipe", "push"))
    with pytest.raises(ValueError, match="has not learned wipe, only lift, push"):
        calibrate(model, model.save(tmp_path / "model"), store, range(2), Calibration(steps=1))


@pytest.mark.parametrize("known, asked, told", [(TASKS, "push", "push"), (("lift",), "", "lift"), ((), "push", "")])
def test_the_watch_is_told_the_policys_task(known: tuple[str, ...], asked: str, told: str, tmp_path: Path) -> None:
    watch = TrustWatch.load(saved(tmp_path, model_of(known)), "cpu", 0.0, 0, print, asked)
    watch.close()
    assert watch.monitor.task == told


def test_the_monitor_tells_its_task_with_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = TrustWatch.load(saved(tmp_path, model_of(TASKS)), "cpu", 0.0, 0, print, "push")
    watch.close()
    heard, made = listen(watch.monitor.model, monkeypatch), moving_dot.episode(0, length=3)
    for i, seen in enumerate(moving_dot.observations(made)):
        watch.monitor.saw(seen.stamp_ns, seen.frame, seen.proprio)
        watch.monitor.check()
        if i < len(made):
            watch.monitor.executed(seen.stamp_ns, made.actions[i])
    assert heard == ["push"] * 3


def test_a_watch_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, model_of(TASKS))
    with pytest.raises(Refusal, match="task is 'wipe', but the world model has learned lift, push only"):
        TrustWatch.load(path, "cpu", 0.0, 0, print, "wipe")
    with pytest.raises(TrustError, match="has learned lift, push: name the policy's task"):
        TrustWatch.load(path, "cpu", 0.0, 0, print)

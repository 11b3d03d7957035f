"""Models learn on a GPU what they learn on the CPU, go on from what either has left, and load on both."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from alike import assert_learned_alike, assert_same, curve
from plain_cpu import plain_cpu
from pretend_gpu import pretend_gpu
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "wm"))
from made_episodes import made_episode, made_store
from small_models import SIZE, small_contract, world_model

from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_policy.bc import BcTraining
from world4rl_policy.bc import train_and_save as train_bc
from world4rl_wm.measures.replay import real_and_dreamed
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.reward.batches import RewardTraining
from world4rl_wm.reward.calibration import RewardCalibration
from world4rl_wm.reward.data import RewardData, labelled_frames
from world4rl_wm.reward.model import RewardConfig, RewardModel
from world4rl_wm.reward.train_reward import train_and_save as train_reward
from world4rl_wm.training.cost import training_cost
from world4rl_wm.training.devices import process_device
from world4rl_wm.training.mixture import Mixture
from world4rl_wm.training.state import TrainingState
from world4rl_wm.training.step import WorldModelTraining
from world4rl_wm.training.train_state_model import StateTraining
from world4rl_wm.training.train_world_model import train_world_model

CONTRACT = small_contract()
TRAINING = WorldModelTraining(
    steps=4,
    batch_size=4,
    warm_up=2,
    rollout_share=0.5,
    rollout_steps=2,
    save_every=2,
    accumulation=2,
    mixture=Mixture(balance_tasks=True),
    state=StateTraining(steps=3, batch_size=8),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """Six episodes of two tasks, every other one a success."""
    episodes = [made_episode(CONTRACT, number % 5, 5, 3 if number % 2 else None) for number in range(6)]
    for number, episode in enumerate(episodes):
        episode.task, episode.episode_id = "ab"[number // 3], f"made-{number}"
    return made_store(tmp_path_factory.mktemp("gpu") / "store", CONTRACT, episodes)


def config(composed: bool = False) -> WorldModelConfig:
    size = (CONTRACT.image_channels, SIZE, CONTRACT.action_dim, CONTRACT.proprio_dim)
    return WorldModelConfig(DenoiserConfig(*size, widths=(8, 8), layers=1, task_dim=4, composed=composed))


def logged(out: Path) -> list[dict[str, Any]]:
    return curve(out.with_name(out.name + ".training") / "metrics.jsonl")


@pytest.mark.parametrize("composed, goes_on", [(False, pretend_gpu), (True, plain_cpu)], ids=["gpu", "composed, cpu"])
def test_a_world_model(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, composed: bool, goes_on: Callable
) -> None:
    """With its state model; interrupted on the GPU in step 4 of 4 it goes on, there or on the CPU, after step 2."""
    cpu, gpu = tmp_path / "cpu", tmp_path / "gpu"
    arguments = (store, range(6), config(composed))
    with plain_cpu():
        train_world_model(*arguments, cpu, TRAINING, progress=False)
    update = TrainingState.update_average

    def interrupt(self: TrainingState, decay: float) -> None:
        if self.step == 4:
            raise KeyboardInterrupt
        update(self, decay)

    with monkeypatch.context() as patch, pretend_gpu(), pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingState, "update_average", interrupt)
        train_world_model(*arguments, gpu, TRAINING, progress=False)
    with goes_on():
        train_world_model(*arguments, gpu, TRAINING, progress=False)
    assert_learned_alike(gpu, cpu)
    assert_same(logged(gpu), logged(cpu))
    frames, actions = torch.zeros(2, 4, CONTRACT.image_channels, SIZE, SIZE), torch.ones(2, 4, CONTRACT.action_dim)
    with plain_cpu() as device:
        there = dreamt(gpu, frames, actions, device)
    with pretend_gpu() as device:
        torch.testing.assert_close(dreamt(gpu, frames, actions, device), there)


def dreamt(path: Path, frames: Tensor, actions: Tensor, device: torch.device) -> Tensor:
    model, seeded = WorldModel.load(path, device), torch.Generator(device).manual_seed(1)
    task = model.task_vectors(["a", "b"])
    return model.predict(frames.to(device), actions.to(device), seeded, task).cpu()


def test_in_bfloat16(store: EpisodeStore, tmp_path: Path) -> None:
    """As on a GPU since Ampere: formats meet nowhere that they may not, and the loss is about the same."""
    with plain_cpu():
        train_world_model(store, range(6), config(), tmp_path / "cpu", TRAINING, progress=False)
    with pretend_gpu(bfloat16=True):
        train_world_model(store, range(6), config(), tmp_path / "gpu", TRAINING, progress=False)
    ours, theirs = (logged(tmp_path / name)[-1]["loss"] for name in ("gpu", "cpu"))
    assert ours == pytest.approx(theirs, rel=0.1) and ours != theirs


def test_what_a_training_costs(store: EpisodeStore) -> None:
    with pretend_gpu(bfloat16=True):
        cost = training_cost(store, range(6), config(composed=True), replace(TRAINING, rollout_share=0.0))
    assert (cost.device, cost.precision, cost.processes) == ("pretended", "bfloat16", 1)
    assert cost.seconds_per_step > 0 and cost.gflops_per_frame > 0


@pytest.mark.parametrize("goes_on", [pretend_gpu, plain_cpu], ids=["gpu", "cpu"])
def test_a_reward_model(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: Callable
) -> None:
    """From real frames and dreams, calibrated, measured and shown; interrupted on the GPU it goes on, there or on the
    CPU. There its dropout cannot go on where the GPU's was: it is the same no more, but it goes on."""
    cpu, gpu = tmp_path / "cpu", tmp_path / "gpu"
    dreams, network = world_model(CONTRACT).save(tmp_path / "dreams"), RewardConfig(6, width=8, progress=True)
    training = RewardTraining(steps=6, positives=4, negatives=4, progress_batch=4, save_every=3)
    # dreamed frames may differ by a level of 255 where a value lies between two: both learn from the same ones
    frames = labelled_frames(store, range(6))

    def train(out: Path) -> None:
        seen = real_and_dreamed(store, range(6), WorldModel.load(dreams, process_device()))
        data = RewardData(frames, {"real": frames, "real and dreamed": seen}, frames)
        train_reward(data, CONTRACT, out, network, training, RewardCalibration(0.2, "calibrated"), progress=False)

    with plain_cpu():
        train(cpu)
    save = TrainingState.save

    def save_and_stop(self: TrainingState, path: Path, fingerprint: str) -> None:
        save(self, path, fingerprint)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pretend_gpu(), pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingState, "save", save_and_stop)
        train(gpu)
    with goes_on():
        train(gpu)
    assert RewardModel.load(gpu).device.type == "cpu"
    if goes_on is plain_cpu:
        assert logged(gpu)[-1]["step"] == logged(cpu)[-1]["step"] == 6
        return
    assert_learned_alike(gpu, cpu)
    assert_same(logged(gpu), logged(cpu))
    ours, theirs = (json.loads((path / "metrics.json").read_text()) for path in (gpu, cpu))
    assert_same(ours["held_out"], theirs["held_out"])
    assert_same(ours["threshold"], theirs["threshold"])


def test_a_policy(store: EpisodeStore, tmp_path: Path) -> None:
    """Told its task, stopped by what was held out."""
    network = PolicyConfig(6, SIZE, CONTRACT.action_dim, history=2, width=8, hidden=16, tasks=("a", "b"))
    training = BcTraining(steps=4, batch_size=6, held_out=0.3, evaluate_every=2)
    for place in (plain_cpu, pretend_gpu):
        with place() as device:
            train_bc(store, range(6), tmp_path / device.type, network, training, progress=False)
    assert_learned_alike(tmp_path / "cuda", tmp_path / "cpu")
    ours, theirs = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("cuda", "cpu"))
    assert ours["best_step"] == theirs["best_step"]
    assert ours["held_out_nll"] == pytest.approx(theirs["held_out_nll"], rel=1e-3)
    assert GaussianPolicy.load(tmp_path / "cuda").std.device.type == "cpu"

"""A training process that is killed (SIGKILL) and started again ends with the weights of one that was left alone."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_models import SIZE, small_contract, small_store, world_model

from world4rl_data.store import EpisodeStore
from world4rl_wm.reward.batches import RewardTraining
from world4rl_wm.reward.calibration import RewardCalibration
from world4rl_wm.reward.data import LabelledFrames, RewardData
from world4rl_wm.reward.model import RewardConfig
from world4rl_wm.reward.train_reward import train_and_save
from world4rl_wm.training.metrics_log import read_metrics
from world4rl_wm.training.step import WorldModelTraining
from world4rl_wm.training.train_state_model import StateTraining
from world4rl_wm.training.train_world_model import train_world_model

CONTRACT = small_contract()
PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order would differ in the last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def reward(folder: Path) -> None:
    """The dropout of the small network and both kinds of batches draw random numbers."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (60, 6, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    labels = LabelledFrames(frames, torch.arange(60) % 3 == 0, torch.rand(60, generator=generator))
    config = RewardTraining(steps=120, positives=4, negatives=4, progress_batch=4, save_every=10)
    network = RewardConfig(6, width=8, progress=True)
    data = RewardData(labels, {"real": labels}, labels)
    calibration = RewardCalibration(0.2, "calibrated")
    train_and_save(data, CONTRACT, folder / "model", network, config, calibration, seed=4, progress=False)


def world(folder: Path) -> None:
    store, network = EpisodeStore.open(folder / "store"), world_model(CONTRACT).config
    state = StateTraining(steps=400, batch_size=8)
    config = WorldModelTraining(
        steps=16, batch_size=4, warm_up=2, rollout_share=0.5, rollout_steps=2, save_every=2, state=state
    )
    train_world_model(store, [0, 1], network, folder / "model", config, seed=4, progress=False)


def kill_when(train: Callable[[Path], None], folder: Path, saved: Path) -> None:
    """Start the training, wait until it has written its state, and kill it before it has ended."""
    # Forked, so that no second interpreter must load torch; the trainings use one thread.
    process = multiprocessing.get_context("fork").Process(target=train, args=(folder,))
    process.start()
    deadline = time.monotonic() + PATIENCE_S
    while not saved.is_file() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL and saved.is_file()
    assert not (folder / "model").exists(), "it had ended before it was killed"


def assert_same_result(killed: Path, straight: Path) -> None:
    found, expected = (load_file(folder / "model" / "model.safetensors") for folder in (killed, straight))
    assert found.keys() == expected.keys()
    assert not [name for name, weight in expected.items() if not torch.equal(weight, found[name])]
    curves = [
        [(row["step"], row["loss"]) for row in read_metrics(folder / "model.training" / "metrics.jsonl")]
        for folder in (killed, straight)
    ]
    assert curves[0] == curves[1] and curves[0], "the curve of the killed one repeats itself or has a gap"


def test_reward_model(tmp_path: Path) -> None:
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    reward(straight)
    kill_when(reward, killed, killed / "model.training" / "state.safetensors")
    torch.manual_seed(99)  # another process begins elsewhere
    reward(killed)
    assert_same_result(killed, straight)


def test_world_model_killed_while_its_state_model_learns_and_again_later(tmp_path: Path) -> None:
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    for folder in (killed, straight):
        small_store(folder / "store", CONTRACT, (6, 5))
    world(straight)
    work = killed / "model.training"
    kill_when(world, killed, work / "state_model" / "state.safetensors")
    assert not (work / "state.safetensors").exists()
    kill_when(world, killed, work / "state.safetensors")
    torch.manual_seed(99)
    world(killed)
    assert_same_result(killed, straight)
    rows = read_metrics(work / "state_model" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [100, 200, 300, 400]

"""The reward model learns what is there to be learned, from rightly labelled frames of both kinds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from made_episodes import made_episode, made_store
from small_models import SIZE, reward_model, small_contract
from torch import Tensor

from world4rl_data.episode import Outcome
from world4rl_wm.reward.batches import RewardTraining, augment
from world4rl_wm.reward.calibration import RewardCalibration
from world4rl_wm.reward.data import (
    LabelledFrames,
    RewardData,
    labelled_frames,
    progress_of,
    set_aside,
    set_aside_by_outcome,
)
from world4rl_wm.reward.metrics import confusion, progress_error
from world4rl_wm.reward.model import RewardConfig, RewardModel
from world4rl_wm.reward.train_reward import train_and_save, train_reward
from world4rl_wm.training.metrics_log import read_metrics
from world4rl_wm.training.state import TrainingState

CONTRACT = small_contract()
QUICK = RewardTraining(steps=100, positives=8, negatives=24, progress_batch=16, learning_rate=3e-3)


def lamps(seed: int, count: int = 60) -> LabelledFrames:
    """Noise, with a bright patch somewhere in the middle when it is a success; a border as bright as the progress."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 120, (count, 6, SIZE, SIZE), dtype=np.uint8)
    success = np.arange(count) % 3 == 0
    frames[success, :, 5:11, 5:11] = 250
    progress = np.where(success, 1.0, rng.uniform(0, 0.9, count)).astype(np.float32)
    frames[:, :, :3] = (250 * progress).astype(np.uint8)[:, None, None, None]
    return LabelledFrames(torch.from_numpy(frames), torch.from_numpy(success), torch.from_numpy(progress))


def test_learns_to_see_a_lamp_and_how_far_it_is(tmp_path: Path) -> None:
    """Held-out frames, all right at the strict threshold; before training they were not."""
    model, held_out = reward_model(CONTRACT, progress=True), lamps(1)
    assert confusion(model, held_out)["true_positive"] == 0
    train_reward(lamps(0), model, QUICK, progress=False, work=tmp_path)
    assert not model.training
    assert confusion(model, held_out) == {
        "true_positive": 20,
        "false_positive": 0,
        "true_negative": 40,
        "false_negative": 0,
    }
    error = progress_error(model, held_out)
    assert error["mean_absolute_error"] < 0.5 * error["of_the_mean"] and error["frames"] == 60
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [50, 100]


def test_progress_changes_no_verdict() -> None:
    """It has a network and random numbers of its own: a run without it must give the same reward."""
    trained = [reward_model(CONTRACT, progress=progress) for progress in (False, True)]
    for model in trained:
        train_reward(lamps(0), model, replace(QUICK, steps=5), progress=False)
    frames = torch.rand(4, 6, SIZE, SIZE)
    assert torch.equal(trained[0].probability(frames), trained[1].probability(frames))
    assert bool(trained[0].progress(frames).isnan().all())
    assert bool(((trained[1].progress(frames) > 0) & (trained[1].progress(frames) < 1)).all())


def test_frames_are_successes_from_the_first_successful_one_on(tmp_path: Path) -> None:
    episodes = [
        made_episode(CONTRACT, 0, 4, success_index=3),
        made_episode(CONTRACT, 1, 2),
        made_episode(CONTRACT, 2, 2, outcome=Outcome.UNLABELLED),
        made_episode(CONTRACT, 3, 2, success_index=2),
    ]
    labelled = labelled_frames(made_store(tmp_path / "store", CONTRACT, episodes), range(4))
    pixel = labelled.frames[:, 0, 0, 0].tolist()
    assert pixel == [0, 1, 2, 3, 4, 50, 51, 52, 150, 151, 152]  # an unlabelled episode says nothing
    assert [p for p, success in zip(pixel, labelled.success.tolist()) if success] == [3, 4, 152]
    nan = float("nan")
    expected = torch.tensor([0, 1 / 3, 2 / 3, 1, 1, 0, nan, nan, 0, 0.5, 1])
    torch.testing.assert_close(labelled.progress, expected, equal_nan=True)


def test_progress_of_an_episode_that_begins_with_success_is_whole() -> None:
    assert progress_of(2, 0).tolist() == [1, 1, 1]


def test_episodes_are_set_aside_as_a_whole_and_evenly() -> None:
    """A split by frame would calibrate on the neighbours of frames that were learned."""
    rest, aside = set_aside(range(100, 120), 0.2, first=7)
    assert aside == [102, 107, 112, 117]
    assert sorted(rest + aside) == list(range(100, 120))
    for share, count in ((0.4, 8), (0.3, 6), (0.15, 3), (0.5, 10)):
        assert [len(set_aside(range(20), share, first)[1]) for first in range(20)] == [count] * 20, share
    assert set_aside(range(10), 0.4, first=0)[1] == [0, 3, 5, 8]
    for every in (2, 3, 4, 5, 7):  # one in so many, beginning with number `first`
        assert set_aside(range(20), 1 / every, first=8)[1] == list(range(8 % every, 20, every))
    assert set_aside([1, 2], 0.0, first=7) == ([1, 2], [])
    with pytest.raises(ValueError, match=r"must be 0 to 0\.5, got 0\.9"):
        set_aside([1, 2], 0.9, first=0)


def test_each_outcome_is_set_aside_for_itself_and_stays_so(tmp_path: Path) -> None:
    won = (0, 2, 3, 8, 10)
    episodes = [made_episode(CONTRACT, n % 5, 3, 2 if n % 12 in won else None) for n in range(24)]
    for number, episode in enumerate(episodes):
        episode.episode_id = f"made-{number}"
    store = made_store(tmp_path / "store", CONTRACT, episodes)
    rest, aside = set_aside_by_outcome(store, range(12), 0.2, first=1)
    assert set_aside(range(12), 0.2, first=1)[1] == [1, 6, 11], "which are all failures"
    assert aside == [2, 4, 11] and sorted(rest + aside) == list(range(12))
    later = set_aside_by_outcome(store, range(24), 0.2, first=1)[1]
    assert [episode for episode in later if episode < 12] == aside and len(later) == 5
    assert set_aside_by_outcome(store, range(2), 0.0, first=1) == ([0, 1], [])
    for few in ([0], [0, 1], [1, 4, 5, 6, 7, 9]):
        with pytest.raises(ValueError, match=r"reward\.calibration\.episodes=0\.2: .* are too few"):
            set_aside_by_outcome(store, few, 0.2, first=0)


@pytest.mark.parametrize(
    "episode",
    [
        made_episode(CONTRACT, 0, 3),
        made_episode(CONTRACT, 0, 3, success_index=0),
        made_episode(CONTRACT, 0, 3, outcome=Outcome.UNLABELLED),
    ],
    ids=["failures only", "successes only", "nothing labelled"],
)
def test_data_of_one_kind_is_refused(tmp_path: Path, episode: object) -> None:
    """A classifier of one class would call every dream a success, or none."""
    store = made_store(tmp_path / "store", CONTRACT, [episode])
    with pytest.raises(ValueError, match="needs labelled episodes with successful and with other frames"):
        labelled_frames(store, [0])


def test_confusion_counts_by_truth_and_verdict() -> None:
    class Reads:
        threshold = 0.5
        device = "cpu"

        def probability(self, frames: Tensor) -> Tensor:
            return (frames[:, 0, 0, 0] > 0).float()

    bright = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1, 0, 0])
    truth = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]).bool()
    frames = (bright * 255).to(torch.uint8).view(-1, 1, 1, 1)
    counts = confusion(Reads(), LabelledFrames(frames, truth, truth.float()), batch=3)
    assert counts == {"true_positive": 3, "false_negative": 2, "false_positive": 1, "true_negative": 4}


def test_augmentation_moves_and_blurs_but_keeps_the_picture() -> None:
    frames = torch.full((5, 6, SIZE, SIZE), -0.5)
    frames[:, :, 6:10, 6:10] = 0.5
    generator = torch.Generator().manual_seed(0)
    changed = [augment(frames, RewardTraining(noise=0.0), generator) for _ in range(8)]
    assert all(c.shape == frames.shape for c in changed)
    assert len({tuple(c[0, 0].mean(0).argmax().reshape(1).tolist()) for c in changed}) > 1
    for c in changed:
        assert float(c.min()) >= -0.5 - 1e-6 and float(c.max()) <= 0.5 + 1e-6
        assert float(c[:, :, 7:9, 7:9].min()) > 0  # shifted by a pixel at most: the patch is still there
        torch.testing.assert_close(c.mean(), frames.mean(), atol=1e-3, rtol=0)


def test_training_leaves_a_calibrated_checkpoint_its_measures_and_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data, out = RewardData(lamps(0), {"real": lamps(1)}, lamps(2)), tmp_path / "reward"
    network, config = RewardConfig(6, width=8, progress=True), replace(QUICK, steps=60)
    train_and_save(data, CONTRACT, out, network, config, RewardCalibration(0.2, "calibrated"), progress=False)
    model = RewardModel.load(out, contract=CONTRACT)
    metrics = json.loads((out / "metrics.json").read_text())
    measured = metrics["held_out"]["real"]
    assert measured["confusion"] == confusion(model, lamps(1))
    assert sum(point["frames"] for point in measured["curve"]) == 60 and 0 <= measured["ece"] <= 1
    assert measured["uncalibrated"]["brier"] != measured["brier"] and model.config.scale != 1
    assert metrics["threshold"] == model.threshold and measured["progress"]["frames"] == 60
    picture = cv2.imread(str(tmp_path / "reward.training" / "calibration_real.png"))
    assert picture is not None and len(np.unique(picture)) > 10
    board = EventAccumulator(str(tmp_path / "reward.training" / "tensorboard")).Reload()
    assert [point.step for point in board.Scalars("reward_model/progress_loss")] == [50, 60]
    assert [picture.step for picture in board.Images("reward_model/calibration_real")] == [60]


def test_a_checkpoint_from_before_calibration_and_progress_still_loads(tmp_path: Path) -> None:
    """Its settings lacked them: their defaults say what it was."""
    model = reward_model(CONTRACT)
    path = model.save(tmp_path / "reward")
    config = yaml.safe_load((path / "config.yaml").read_text())
    old = {key: config[key] for key in ("kind", "image_channels", "width", "dropout", "threshold")}
    (path / "config.yaml").write_text(yaml.safe_dump(old))
    frames = torch.rand(3, 6, SIZE, SIZE)
    assert torch.equal(RewardModel.load(path).probability(frames), torch.sigmoid(model.logits(frames)))


def test_an_interrupted_training_does_not_go_on_from_what_another_start_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model to start from has been trained anew, or there is another one."""
    restored: list[bool] = []
    restore = TrainingState.restore
    monkeypatch.setattr(TrainingState, "restore", lambda *args: restored.append(restore(*args)) or restored[-1])
    network, config = RewardConfig(6, width=8), replace(QUICK, steps=3)

    def train(start: Path | None) -> None:
        data, out = RewardData(lamps(0), {}), tmp_path / "reward"
        train_and_save(data, CONTRACT, out, network, config, progress=False, start_from=start)

    start, other = reward_model(CONTRACT), reward_model(CONTRACT)
    start.save(tmp_path / "start")
    train(None), train(None)
    train(tmp_path / "start"), train(tmp_path / "start")
    next(other.parameters()).data.add_(1.0)
    other.save(tmp_path / "start")
    train(tmp_path / "start")
    train((tmp_path / "start").rename(tmp_path / "moved"))  # the same weights, wherever they lie
    assert restored == [False, True, False, True, False, True]

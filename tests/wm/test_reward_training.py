"""The reward model learns what is there to be learned, from rightly labelled frames of both kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import SIZE, reward_model, small_contract
from torch import Tensor

from world4rl_data.episode import Outcome
from world4rl_wm.metrics_log import MetricsLog, read_metrics
from world4rl_wm.train_reward import LabelledFrames, RewardTraining, augment, confusion, labelled_frames, train_reward

CONTRACT = small_contract()
QUICK = RewardTraining(steps=100, positives=8, negatives=24, learning_rate=3e-3)


def lamps(seed: int, count: int = 60) -> LabelledFrames:
    """Noise, with a bright patch somewhere in the middle when it is a success."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 120, (count, 6, SIZE, SIZE), dtype=np.uint8)
    success = np.arange(count) % 3 == 0
    frames[success, :, 5:11, 5:11] = 250
    return LabelledFrames(torch.from_numpy(frames), torch.from_numpy(success))


def test_learns_to_see_a_lamp(tmp_path: Path) -> None:
    """Held-out frames, all right at the strict threshold; before training they were not."""
    model, held_out = reward_model(CONTRACT), lamps(1)
    assert confusion(model, held_out)["true_positive"] == 0
    log = MetricsLog(tmp_path / "metrics.jsonl")
    train_reward(lamps(0), model, QUICK, progress=False, log=log)
    assert not model.training
    assert confusion(model, held_out) == {
        "true_positive": 20,
        "false_positive": 0,
        "true_negative": 40,
        "false_negative": 0,
    }
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [50, 100]


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

        def probability(self, frames: Tensor) -> Tensor:
            return (frames[:, 0, 0, 0] > 0).float()

    bright = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1, 0, 0])
    truth = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]).bool()
    frames = (bright * 255).to(torch.uint8).view(-1, 1, 1, 1)
    counts = confusion(Reads(), LabelledFrames(frames, truth), batch=3)
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

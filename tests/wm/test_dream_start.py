"""What a dream is given to begin with is what training saw there; what looks on is told of every end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_models import policy, reward_model, small_contract, small_store, world_model

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.dream_context import episode_context
from world4rl_wm.imagination.dream_start import DreamStart
from world4rl_wm.imagination.dream_stream import Watch
from world4rl_wm.imagination.rollout import imagine
from world4rl_wm.model.frames import FrameWindows

CONTRACT = small_contract()
MODEL, JUDGE = world_model(CONTRACT), reward_model(CONTRACT)


@pytest.mark.parametrize("step", [0, 1, 4])
def test_a_dream_begins_with_what_training_saw_there(tmp_path: Path, step: int) -> None:
    """Where fewer frames have been than the history is long, too."""
    store = small_store(tmp_path / "store", CONTRACT, (3, 5))
    start = DreamStart.of(episode_context(store, 1, step, MODEL.history), MODEL, samples=2, seed=0)
    windows = FrameWindows(store, [1], MODEL.history)
    seen = windows.window(windows.current[[step, step]])
    assert torch.equal(start.frames, seen.context) and torch.equal(start.actions, seen.actions[:, :-1])
    assert start.proprio is not None and torch.equal(start.proprio, seen.proprio)
    assert start.tasks is None, "no task was named"
    model = world_model(CONTRACT)
    model.state_model = None
    assert DreamStart.of(episode_context(store, 1, step, 4), model, 2, 0, "press").proprio is None, "nobody carries it"


def test_actions_that_do_not_fit_the_dreams_are_refused(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", CONTRACT)
    start = DreamStart.of(episode_context(store, 0, 0, 4), MODEL, samples=2, seed=0)
    for shape in ((1, 3, 3), (2, 2, 3)):
        with pytest.raises(ValueError, match=r"actions must be \(2, 3, A\), got"):
            imagine(MODEL, JUDGE, start, torch.zeros(shape), 3)


def test_who_looks_on_is_told_of_the_end_of_a_dream_that_never_began(tmp_path: Path) -> None:
    store, told = small_store(tmp_path / "store", CONTRACT), []

    def start(dream: Dream) -> None:
        raise RuntimeError("no screen")

    began = DreamStart.of(episode_context(store, 0, 0, 4), MODEL, samples=1, seed=0)
    with pytest.raises(RuntimeError, match="no screen"):
        imagine(MODEL, JUDGE, began, policy(CONTRACT), 3, watch=Watch(start=start, end=lambda: told.append("end")))
    assert told == ["end"]

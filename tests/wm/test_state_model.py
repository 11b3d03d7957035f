"""The state model learns simple motion nearly exactly: a dream whose arm drifts tells near misses as hits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import SIZE, small_contract

from world4rl_data.episode import Episode
from world4rl_wm.model.frames import FrameWindows
from world4rl_wm.model.state_model import StateModel
from world4rl_wm.training.train_state_model import StateTraining, train_state_model

CONTRACT = small_contract()
STEP = 0.03  # what a full action moves the hand, m


def moving_hand(number: int, length: int = 12) -> Episode:
    """The hand moves by STEP times the action; each colour's brightness tells one coordinate."""
    rng = np.random.default_rng(number)
    actions = rng.uniform(-1, 1, (length, 3))
    position = rng.uniform(-0.1, 0.1, 3) + np.vstack([np.zeros(3), np.cumsum(STEP * actions, 0)])
    colour = np.clip(127 + 400 * position, 0, 254).astype(np.uint8)
    frames = np.broadcast_to(colour[:, None, None, :], (length + 1, SIZE, SIZE, 3))
    return made_episode(CONTRACT, number, length, frames=frames, proprio=position, actions=actions)


def small_state_model() -> StateModel:
    torch.manual_seed(0)
    return StateModel(6, SIZE, CONTRACT.proprio_dim, CONTRACT.action_dim, history=4, width=32)


@pytest.mark.parametrize("unroll", [1, 4])
def test_learns_linear_motion_and_to_see_the_hand(tmp_path: Path, unroll: int) -> None:
    """One step at a time, and several in a row."""
    store = made_store(tmp_path / "store", CONTRACT, [moving_hand(n) for n in range(26)])
    learned, held_out = FrameWindows(store, range(24)), FrameWindows(store, [24, 25])
    model = small_state_model()
    config = StateTraining(steps=250, batch_size=64, noise=0.02, unroll=unroll, max_grad_norm=1.0)
    train_state_model(model, learned, config, progress=False)
    batch = held_out.window(held_out.current)
    with torch.no_grad():
        predicted = model.predict(batch.context[:, -1], batch.proprio, batch.actions)
        seen = model.estimate(batch.context[:, -1])
    moved = (batch.next_proprio - batch.proprio[:, -1]).square().mean().sqrt()
    missed = (predicted - batch.next_proprio).square().mean().sqrt()
    assert missed < 0.25 * moved  # "stands still" would miss by all of it
    spread = (batch.proprio[:, -1] - model.mean).square().mean().sqrt()
    assert (seen - batch.proprio[:, -1]).square().mean().sqrt() < 0.3 * spread
    assert not any(p.requires_grad for p in model.parameters())


def test_predicts_no_more_steps_in_a_row_than_an_episode_has(tmp_path: Path) -> None:
    windows = FrameWindows(made_store(tmp_path / "store", CONTRACT, [moving_hand(0, length=3)]), [0])
    model = small_state_model()
    before = model.dynamics[0].weight.clone()
    train_state_model(model, windows, StateTraining(steps=10, batch_size=8, unroll=99), progress=False)
    assert bool(model.dynamics[0].weight.isfinite().all()) and not torch.equal(model.dynamics[0].weight, before)


def test_too_few_steps_are_refused(tmp_path: Path) -> None:
    windows = FrameWindows(made_store(tmp_path / "store", CONTRACT, [moving_hand(0)]), [0])
    with pytest.raises(ValueError, match=r"a training of 2 steps: .* give at least 3"):
        train_state_model(small_state_model(), windows, StateTraining(steps=2, batch_size=8), progress=False)


def test_scales_come_from_the_data_and_constants_stay_finite() -> None:
    """A gripper that never moves must not divide by zero."""
    model = small_state_model()
    proprio = torch.tensor([[0.1, 5.0, 0.0], [0.3, 5.0, 0.1], [0.5, 5.0, 0.4]])
    model.fit_scale(proprio, proprio + torch.tensor([[0.0, 0.0, 0.1], [0.0, 0.0, 0.2], [0.0, 0.0, 0.3]]))
    torch.testing.assert_close(model.mean, torch.tensor([0.3, 5.0, 1 / 6]))
    torch.testing.assert_close(model.change_std, torch.tensor([1e-4, 1e-4, 0.1]))
    normal = model.normalise(proprio)
    assert bool(normal.isfinite().all()) and float(normal[:, 1].abs().max()) == 0
    torch.testing.assert_close(normal[:, 0].std(), torch.tensor(1.0))

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
from world4rl_wm.model.state_model import StateModel, robust_least_squares
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
    following = proprio + torch.tensor([[0.0, 0.0, 0.1], [0.0, 0.0, 0.2], [0.0, 0.0, 0.3]])
    model.fit(proprio.unsqueeze(1).repeat(1, 2, 1), torch.zeros(3, 4, CONTRACT.action_dim), following)
    torch.testing.assert_close(model.mean, torch.tensor([0.3, 5.0, 1 / 6]))
    torch.testing.assert_close(model.change_std, torch.tensor([1e-4, 1e-4, 0.1]))
    normal = model.normalise(proprio)
    assert bool(normal.isfinite().all()) and float(normal[:, 1].abs().max()) == 0
    torch.testing.assert_close(normal[:, 0].std(), torch.tensor(1.0))


def test_a_free_arm_is_known_exactly_though_it_often_gets_caught() -> None:
    """Every fifth motion ends at an obstacle. Least squares alone would believe that the arm lags everywhere."""
    generator = torch.Generator().manual_seed(1)
    actions = torch.rand(500, 4, CONTRACT.action_dim, generator=generator) * 2 - 1
    proprio = torch.rand(500, 2, 3, generator=generator)
    free = proprio[:, -1] + STEP * actions[:, -1]
    caught = torch.arange(500) % 5 == 0
    model = small_state_model()
    model.fit(proprio, actions, torch.where(caught.unsqueeze(1), proprio[:, -1], free))
    with torch.no_grad():
        predicted = model.predict(torch.zeros(500, 6, SIZE, SIZE), proprio, actions)
    torch.testing.assert_close(predicted, free, atol=1e-4, rtol=0)  # a tenth of a millimetre


def test_a_fit_on_hardly_any_data_does_not_run_away() -> None:
    """Twelve moves for the linear model's thirty numbers: fed its own predictions, it grew until nothing was finite."""
    generator = torch.Generator().manual_seed(2)
    proprio = torch.rand(12, 2, 3, generator=generator)
    following = proprio[:, -1] + STEP * torch.rand(12, 3, generator=generator)
    model = small_state_model()
    model.fit(proprio, torch.rand(12, 4, CONTRACT.action_dim, generator=generator), following)
    frame, state = torch.zeros(12, 6, SIZE, SIZE), proprio
    for _ in range(200):
        actions = torch.rand(12, 4, CONTRACT.action_dim, generator=generator) * 2 - 1
        with torch.no_grad():
            state = torch.stack([state[:, -1], model.predict(frame, state, actions)], 1)
    tenth = 0.1 * (following.max(0).values - following.min(0).values) + 1e-6
    assert bool((state[:, -1] >= following.min(0).values - tenth).all())
    assert bool((state[:, -1] <= following.max(0).values + tenth).all())


def test_columns_that_say_the_same_do_not_stop_the_fit() -> None:
    """A robot whose joints move together, or not at all."""
    x = torch.tensor([3.0, 3.0, 0.0]).repeat(60, 1)
    found = robust_least_squares(x, torch.full((60, 2), 5.0))
    torch.testing.assert_close(x @ found, torch.full((60, 2), 5.0), atol=1e-3, rtol=0)


def test_a_checkpoint_from_before_the_linear_model_predicts_as_it_did() -> None:
    model = small_state_model()
    old = {name: value for name, value in model.state_dict().items() if name not in ("linear", "low", "high")}
    old["dynamics.4.weight"] = torch.zeros_like(old["dynamics.4.weight"])
    old["dynamics.4.bias"] = torch.tensor([1.0, 2.0, 3.0])
    again = small_state_model()
    for new in (again.linear, again.low, again.high):
        new.fill_(9.0)
    again.load_state_dict(old)
    proprio, actions = torch.rand(2, 2, 3), torch.rand(2, 4, CONTRACT.action_dim)
    predicted = again.predict(torch.zeros(2, 6, SIZE, SIZE), proprio, actions)
    torch.testing.assert_close(predicted, proprio[:, -1] + torch.tensor([1.0, 2.0, 3.0]))

"""The film of a training: what is true in it, what is dreamed, and what is over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_models import small_contract, small_store, world_model

from world4rl_wm.measures.replay import replay
from world4rl_wm.pictures import side_by_side
from world4rl_wm.training.film import TrainingFilm

SIZE, WIDTH = 16, 2 * 16  # pixels of a row; of its two cameras


def test_a_row_shows_truth_dream_and_difference_in_step_until_its_end(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", small_contract(), (6, 4))
    model = world_model(store.contract).eval()
    film = TrainingFilm(store, [0, 1], model.history)
    frames = film.frames(model)
    assert film.rate_hz == store.contract.control_rate_hz
    assert frames.shape == (7, 2 * SIZE, 3 * WIDTH, 3) and frames.dtype == np.uint8
    dreams = replay(model, store, [0, 1]).frames.numpy()
    for row, length in enumerate((6, 4)):
        true, dreamed, difference = np.split(frames[:, row * SIZE : (row + 1) * SIZE], 3, axis=2)
        for step in range(7):
            last = min(step, length)
            np.testing.assert_array_equal(true[step], side_by_side(np.asarray(store.frames(row))[last]))
            np.testing.assert_allclose(dreamed[step].astype(int), side_by_side(dreams[row, last]), atol=1)
            brightened = np.clip((dreamed[step].astype(int) - true[step]) * 2 + 128, 0, 255)
            np.testing.assert_array_equal(difference[step], brightened)
    assert (difference[0] == 128).all(), "the first frame is real"


def test_a_long_store_gives_four_of_its_episodes(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", small_contract(), (3,) * 9)
    model = world_model(store.contract)
    frames = TrainingFilm(store, list(range(9)), model.history).frames(model)
    assert frames.shape[1] == 4 * SIZE
    first = [frames[0, row * SIZE : (row + 1) * SIZE, :WIDTH] for row in range(4)]
    for shown, episode in zip(first, (0, 3, 5, 8), strict=True):
        np.testing.assert_array_equal(shown, side_by_side(np.asarray(store.frames(episode))[0]))

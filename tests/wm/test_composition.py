"""A composed frame: each pixel is kept, taken from the dream's first frame, or painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import SIZE, small_contract, small_store, world_model
from torch import Tensor

from world4rl_data.episode import Episode
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model import edm
from world4rl_wm.model.composition import KEEP, composed, out_channels
from world4rl_wm.model.edm import EdmConfig
from world4rl_wm.model.frames import FrameWindows, StartStates
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.step import TrainingStep, WorldModelTraining, earlier
from world4rl_wm.training.train_state_model import StateTraining, train_state_model

CONTRACT = small_contract()


def frames(seed: int) -> Tensor:
    return torch.rand(2, 6, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_each_camera_has_masks_of_its_own() -> None:
    last, first, paint = frames(0), frames(1), frames(2)
    logits = torch.zeros(2, 3, 2, SIZE, SIZE)  # source, camera
    logits[:, 1, 0], logits[:, 2, 1] = 50, 50
    change = composed(torch.cat([paint, logits.flatten(1, 2)], 1), last, first)
    assert out_channels(6) == 6 + 3 * 2
    torch.testing.assert_close((last + change)[:, :3], first[:, :3], msg="the first camera's pixels come back")
    torch.testing.assert_close((last + change)[:, 3:], paint[:, 3:], msg="the second's are painted")


def test_masks_are_shares_and_keeping_comes_first() -> None:
    last, first, paint = frames(0), frames(1), frames(2)
    change = composed(torch.cat([paint, torch.zeros(2, 6, SIZE, SIZE)], 1), last, first)
    other = 1 / (2 + float(np.exp(KEEP)))
    torch.testing.assert_close(change, other * (first - last) + other * (paint - last))


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_what_the_network_says_is_the_clean_frame_at_every_noise_level(sigma: float) -> None:
    config, x0, levels = EdmConfig(), frames(3), torch.full((2,), sigma)
    x = x0 + sigma * frames(4)
    found = edm.denoise(lambda scaled, c_noise: edm.raw_output(x0, scaled, c_noise, config), x, levels, config)
    torch.testing.assert_close(found, x0, atol=1e-4, rtol=1e-4)


def test_first_frames_are_the_episodes_or_any_since() -> None:
    began, current = torch.tensor([3, 3, 20]).repeat(500), torch.tensor([3, 9, 24]).repeat(500)
    found = earlier(began, current, Draws(0, 0, torch.device("cpu")))
    assert bool((found >= began).all()) and bool((found <= current).all())
    later = (found > began)[current == 9].float().mean()
    assert float(later) == pytest.approx(0.5 * 6 / 7, abs=0.06)
    assert set(found[current == 9].tolist()) == set(range(3, 10))


def test_a_dream_remembers_its_first_frame_and_a_new_one_its_own(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store", CONTRACT, (6, 6))
    starts, model = StartStates.of(store, [0, 1]), world_model(CONTRACT, composed=True)
    dream, action = Dream.from_start(model, starts, 0), torch.zeros(2, CONTRACT.action_dim)
    for _ in range(6):  # longer than the history
        dream.step(action)
    context, shown = dream.context, []
    for first in (dream.first, torch.zeros_like(dream.first)):
        dream.context, dream.first, dream.generator = context, first, torch.Generator().manual_seed(1)
        shown.append(dream.step(action))
    assert not torch.equal(*shown), "what the dream began with shows in its frames"
    fresh = Dream.from_start(model, starts[torch.tensor([0])], 0)
    dream.restart(torch.tensor([False, True]), fresh)
    torch.testing.assert_close(dream.first[1], fresh.first[0])
    assert bool((dream.first[0] == 0).all())


def test_survives_its_checkpoint(tmp_path: Path) -> None:
    model = world_model(CONTRACT, composed=True)
    again = WorldModel.load(model.save(tmp_path / "model"))
    context, actions = frames(0).unsqueeze(1).repeat(1, 4, 1, 1, 1), torch.zeros(2, 4, CONTRACT.action_dim)
    found = [m.predict(context, actions, torch.Generator().manual_seed(0)) for m in (model, again)]
    torch.testing.assert_close(*found, atol=0.02, rtol=0)  # frozen weights are packed: other rounding


def test_learns_to_uncover_what_a_passing_bar_had_hidden(tmp_path: Path) -> None:
    """The wall behind has a pattern that is new in every episode: only the first frame can tell what was hidden."""

    def episode(number: int) -> Episode:
        wall = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        pictures = np.repeat(wall[None], 13, 0)
        for step in range(1, 13):
            pictures[step, :, step : step + 4] = 255  # wide enough to hide a column for all of the history
        return made_episode(
            CONTRACT, number, 12, frames=pictures, actions=np.zeros((12, CONTRACT.action_dim)), proprio=still
        )

    still = np.zeros((13, CONTRACT.proprio_dim))
    store = made_store(tmp_path / "store", CONTRACT, [episode(n) for n in range(24)])
    windows = FrameWindows(store, range(22))
    errors = {}
    for kind in (False, True):
        model = world_model(CONTRACT, composed=kind)
        assert model.state_model is not None
        train_state_model(model.state_model, windows, StateTraining(steps=10), progress=False)
        config = WorldModelTraining(steps=150, batch_size=16, learning_rate=3e-3, warm_up=10, rollout_share=0.2)
        training = TrainingStep(model, windows, config, seed=0)
        training.prepare()
        for step in range(config.steps):
            training.take(step)
        held_out = FrameWindows(store, [22, 23])
        current = held_out.current[held_out.current - held_out.began == 9]
        batch = held_out.window(current, first=current - 9)
        frame, _ = model.eval().step(
            batch.context, batch.actions, batch.proprio, torch.Generator().manual_seed(0), first=batch.first
        )
        errors[kind] = float((frame - batch.target)[..., 9].abs().mean())  # the column that the bar uncovers
    assert errors[True] < 0.5 * errors[False]

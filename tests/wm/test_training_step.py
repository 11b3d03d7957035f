"""What a training step shows the world model and what it asks of it: by episodes whose every number tells its step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import SIZE, small_contract, world_model
from torch import Tensor

from world4rl_wm.model.edm import Network
from world4rl_wm.model.frames import FrameWindows, Window, to_float, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.step import WorldModelTraining, training_batch

CONTRACT = small_contract()
DREAMED = 200  # and more: the pixels of a dreamed frame
Shown = tuple[Tensor, Tensor, Tensor]  # frames, actions, proprioception


@pytest.fixture
def windows(tmp_path: Path) -> FrameWindows:
    """One episode: frame t shows the number t, where proprioception is t; the action after it is 0.1 + 0.001 t."""
    return FrameWindows(made_store(tmp_path / "store", CONTRACT, [made_episode(CONTRACT, 0, 12)]), [0])


def stepped(monkeypatch: pytest.MonkeyPatch) -> tuple[WorldModel, list[Shown]]:
    """A world model, and what each of its steps is shown. It dreams frames of 200, 201 and so on."""
    model, seen = world_model(CONTRACT), []

    def step(frames: Tensor, actions: Tensor, proprio: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        frame = torch.full(frames[:, -1].shape, DREAMED + len(seen), dtype=torch.uint8)
        seen.append((frames, actions, proprio))
        return to_float(frame), torch.stack([proprio[:, -1], proprio[:, -1] + 50], 1)

    monkeypatch.setattr(model, "step", step)
    return model, seen


def levels(frames: Tensor) -> Tensor:
    """The numbers that frames ``(..., C, H, W)`` show."""
    return to_uint8(frames)[..., 0, 0, 0].long()


def assert_actions_end_at(actions: Tensor, step: Tensor) -> None:
    """``(B, 4, A)``: the last one is that of `step`; before the episode nothing was done."""
    steps = step.unsqueeze(1) + torch.arange(-3, 1)
    torch.testing.assert_close(actions[..., 0], torch.where(steps < 0, 0.0, 0.1 + 0.001 * steps))


def test_a_dreamed_history_is_followed_by_what_really_followed_it(
    windows: FrameWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps deep: dreamed with the actions that were really done, its target is the frame after that."""
    model, seen = stepped(monkeypatch)
    config = WorldModelTraining(context_noise=0.0)
    shown, window = training_batch(model, windows, config, 0, Draws(0, 0), 16, depth=2)
    first, second = seen
    began = levels(first[0])[:, -1]
    assert len(set(began.tolist())) > 4 and int(began.max()) <= 9
    for ahead, (_, actions, _) in enumerate(seen):
        assert_actions_end_at(actions, began + ahead)
    torch.testing.assert_close(second[2][:, 1], began.unsqueeze(1).expand(-1, CONTRACT.proprio_dim) + 50.0)
    assert_actions_end_at(window.actions, began + 2)
    assert torch.equal(levels(window.target), began + 3)
    real = (began.unsqueeze(1) + torch.arange(-1, 1)).clamp(min=0)
    dreamed = torch.tensor([[DREAMED, DREAMED + 1]]).expand(16, -1)
    assert torch.equal(levels(shown), torch.cat([real, dreamed], 1))


def test_only_the_last_steps_of_a_training_are_shown_dreams(
    windows: FrameWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 steps the last quarter, 0 to 2 frames deep: a model that knows nothing yet has nothing to say."""
    model, seen = stepped(monkeypatch)
    config = WorldModelTraining(steps=8, rollout_share=0.25, rollout_steps=2)
    depths: dict[int, set[int]] = {step: set() for step in (0, 5, 6, 7)}
    for step, found in depths.items():
        for seed in range(20):
            seen.clear()
            training_batch(model, windows, config, step, Draws(seed, step), 2)
            found.add(len(seen))
    assert depths == {0: {0}, 5: {0}, 6: {0, 1, 2}, 7: {0, 1, 2}}


def test_what_is_learned_is_the_change_from_the_frame_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels that really move weigh more, up to a bound; the proprioception told is the newest and the next, noisy."""
    model, found, rows = world_model(CONTRACT), {}, 64
    assert model.state_model is not None and model.config.change_scale == 0.25
    model.state_model.mean.fill_(1.0), model.state_model.std.fill_(2.0)

    def loss(network: Network, x0: Tensor, draws: Draws, weight: Tensor | None) -> Tensor:
        found.update(x0=x0, weight=weight)
        return network(x0, torch.zeros(rows))

    def told(x: Tensor, c_noise: Tensor, frames: Tensor, actions: Tensor, proprio: Tensor, task: None) -> Tensor:
        found.update(frames=frames, told=proprio)
        return x

    monkeypatch.setattr(model, "loss", loss)
    monkeypatch.setattr(model.denoiser, "forward", told)
    context = torch.zeros(rows, 4, 6, SIZE, SIZE)
    shown, target = context.clone(), context[:, -1].clone()
    shown[:, -1] = 0.1
    target[:, 2, 0, 0], target[:, 2, 0, 1] = 0.15, 0.9  # one colour moves; the rest stays
    measured = torch.tensor([9.0, 3.0]).view(1, 2, 1).expand(rows, -1, CONTRACT.proprio_dim)
    following = torch.full((rows, CONTRACT.proprio_dim), 5.0)
    batch = Window(context, torch.zeros(rows, 4, CONTRACT.action_dim), target, measured, following)
    model(shown, batch, Draws(0, 0), 4.0)
    assert torch.equal(found["frames"], shown)
    torch.testing.assert_close(found["x0"][0, 2, 0, :3], torch.tensor([0.2, 3.2, -0.4]))
    torch.testing.assert_close(found["weight"][0, 0, 0, :3], torch.tensor([3.0, 5.0, 1.0]))
    assert found["weight"].shape == (rows, 1, SIZE, SIZE)
    noise = found["told"] - torch.tensor([1.0, 2.0]).view(1, 2, 1)
    assert float(noise.mean((0, 2)).abs().max()) < 0.01
    assert float(noise.std()) == pytest.approx(0.03, rel=0.2)

"""Which start states dreams begin at, and that a dream begun in the middle of an episode knows what led there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import SIZE, small_contract, world_model
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.imagination.key_frames import with_key_frames
from world4rl_wm.imagination.start_sampler import StartSampler
from world4rl_wm.model.frames import FrameWindows, StartKind, StartStates, to_float
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.training.share import Share
from world4rl_wm.uncertainty.ensemble import Ensemble

CONTRACT = small_contract()
ENVS, ACTIONS = 8, 3
LENGTHS = ((12, 10), (8, None), (9, 9))


class Never:
    """Sees no success."""

    threshold, progress_net = 0.5, None

    def probability(self, frames: Tensor) -> Tensor:
        return torch.zeros(len(frames))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    episodes = [made_episode(CONTRACT, n, length, won) for n, (length, won) in enumerate(LENGTHS)]
    return made_store(tmp_path_factory.mktemp("sampler") / "store", CONTRACT, episodes)


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return world_model(CONTRACT).requires_grad_(False)


def some_starts(*counts: int) -> StartStates:
    """Start states of nothing, so many of each kind."""
    kinds = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    nothing = torch.zeros(len(kinds), 1)
    return StartStates(nothing, nothing, kinds.numpy(), kinds)


def drawn(starts: StartStates, key_frames: float, size: int = 20_000) -> Tensor:
    return StartSampler(starts, key_frames).draw(size, torch.Generator().manual_seed(7))


def imagination(
    model: WorldModel,
    starts: StartStates,
    key_frames: float,
    share: Share = Share(),  # noqa: B008 (frozen)
    along: Ensemble | None = None,
) -> ImaginationEnv:
    config = ImaginationConfig(num_envs=ENVS, horizon=5, observed_frames=2, key_frames=key_frames)
    return ImaginationEnv([model], [Never()], starts, config, along, share)  # type: ignore[list-item]


def test_without_key_frames_rows_are_drawn_as_ever() -> None:
    """The same rows from the same random numbers, and no number more, whatever start states there are besides."""
    for starts in (replace(some_starts(5), kinds=None), some_starts(5, 3, 2)):
        mine, plain = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
        assert torch.equal(StartSampler(starts).draw(64, mine), torch.randint(5, (64,), generator=plain))
        assert torch.equal(mine.get_state(), plain.get_state())


def test_the_share_is_kept_and_both_kinds_are_drawn_equally_often() -> None:
    starts = some_starts(50, 20, 4)
    rows = drawn(starts, 0.3)
    assert starts.kinds is not None
    shares = starts.kinds[rows].bincount() / len(rows)
    torch.testing.assert_close(shares, torch.tensor([0.7, 0.15, 0.15]), atol=0.01, rtol=0)
    assert len(rows.unique()) == len(starts)
    near = rows[rows >= 70].bincount()[70:] / (rows >= 70).sum()
    torch.testing.assert_close(near, torch.full((4,), 0.25), atol=0.03, rtol=0)


@pytest.mark.parametrize("counts", [(5, 0, 3), (5, 3, 0)])
def test_where_there_is_one_kind_it_has_the_whole_share(counts: tuple[int, ...]) -> None:
    rows = drawn(some_starts(*counts), 0.4)
    assert float((rows >= 5).float().mean()) == pytest.approx(0.4, abs=0.02)
    assert bool((drawn(some_starts(*counts), 1.0) >= 5).all())


@pytest.mark.parametrize("starts", [some_starts(4), replace(some_starts(4), kinds=None)])
def test_key_frames_that_are_not_there_are_an_error_that_names_the_setting(starts: StartStates) -> None:
    with pytest.raises(ValueError, match=r"imagination.key_frames is 0.2, but there is no key frame"):
        StartSampler(starts, 0.2)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match=r"imagination.key_frames is .*: a share lies between 0 and 1"):
        ImaginationConfig(key_frames=share)


def test_a_dream_goes_on_from_what_really_led_there(store: EpisodeStore, model: WorldModel) -> None:
    """Its first step is what the world model makes of the same window of the real episode."""
    starts, windows = with_key_frames(store, range(3), model.history), FrameWindows(store, range(3), model.history)
    assert starts.kinds is not None
    steps, before = {0: 5, 2: 4}, [0, 12, 20]  # steps of the near-success frames; rows of earlier episodes
    rows = torch.tensor([3, 4])
    current = windows.current[[before[episode] + step for episode, step in steps.items()]]
    window, action = windows.window(current), torch.full((2, ACTIONS), 0.3)
    dream = Dream.from_start(model, starts[rows], seed=1)
    assert torch.equal(dream.context, window.context) and torch.equal(dream.actions, window.actions[:, :-1])
    assert torch.equal(dream.proprio, window.proprio)
    expected = Dream(model, window.context, window.actions[:, :-1], 1, window.proprio, dream.tasks)
    assert torch.equal(dream.step(action), expected.step(action))


def test_practice_begins_at_both_and_sees_real_frames(store: EpisodeStore, model: WorldModel) -> None:
    starts = with_key_frames(store, range(3), model.history)
    env = imagination(model, starts, 0.5, along=Ensemble((model,)))
    observation, info = env.reset(seed=0)
    assert starts.kinds is not None and set(starts.kinds[info["start"]].tolist()) == {0, StartKind.NEAR_SUCCESS}
    frames = to_float(starts[info["start"]].history(model.history)[0])
    assert torch.equal(observation, frames[:, -2:])
    assert not env.step(torch.zeros(ENVS, ACTIONS))[-1]["uncertainty"].any(), "who dreams along knows the past too"

    ended = torch.zeros(ENVS, dtype=torch.bool)
    ended[:6] = True
    observation, info = env.reset(options={"reset_mask": ended})
    begun = info["start"][ended]
    assert set(starts.kinds[begun].tolist()) == {0, StartKind.NEAR_SUCCESS} and bool((info["start"][~ended] < 0).all())
    assert torch.equal(observation[ended], to_float(starts[begun].history(model.history)[0])[:, -2:])


def test_first_frames_alone_are_dreamed_on_from_as_ever(store: EpisodeStore, model: WorldModel) -> None:
    """Numbers do not change by key frames that nobody asks for."""
    starts = with_key_frames(store, range(3), model.history)
    plain, known = (imagination(model, where, 0.0) for where in (StartStates.of(store, range(3)), starts))
    assert torch.equal(plain.reset(seed=2)[0], known.reset(seed=2)[0])
    action = torch.full((ENVS, ACTIONS), 0.2)
    assert torch.equal(plain.step(action)[0], known.step(action)[0])
    ended = torch.tensor([True, False] * (ENVS // 2))
    again = [env.reset(options={"reset_mask": ended}) for env in (plain, known)]
    assert torch.equal(again[0][0], again[1][0]) and torch.equal(again[0][1]["start"], again[1][1]["start"])


def test_processes_deal_out_the_same_batch(store: EpisodeStore, model: WorldModel) -> None:
    starts = with_key_frames(store, range(3), model.history)
    whole, begun = imagination(model, starts, 0.5).reset(seed=5)
    parts = [imagination(model, starts, 0.5, Share(index, 2)).reset(seed=5) for index in range(2)]
    assert torch.equal(torch.cat([part for part, _ in parts]), whole)
    assert torch.equal(torch.cat([info["start"] for _, info in parts]), begun["start"])
    assert whole.shape == (ENVS, 2, 6, SIZE, SIZE)

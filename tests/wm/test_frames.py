"""Windows: they never look across an episode's border, and every action stands beside the frame it was taken in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import small_contract

from world4rl_data.store import EpisodeStore
from world4rl_wm.model.frames import IN_MEMORY, FrameWindows, StartStates, to_float, to_uint8
from world4rl_wm.model.stored_frames import StoredFrames

LENGTHS = (5, 1, 3)
HISTORY = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    contract = small_contract()
    episodes = [made_episode(contract, n, length) for n, length in enumerate(LENGTHS)]
    return made_store(tmp_path_factory.mktemp("frames") / "store", contract, episodes)


def test_pixels_survive_the_way_there_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    as_float = to_float(every)
    assert torch.equal(to_uint8(as_float), every)
    assert float(as_float.min()) == -1.0 and float(as_float.max()) == 1.0
    assert to_uint8(torch.tensor([-1.4, 1.4])).tolist() == [0, 255]


@pytest.mark.parametrize("history", [2, 4])
@pytest.mark.parametrize("in_memory", [IN_MEMORY, 0])
def test_windows_stay_in_their_episode_and_repeat_its_first_frame(
    store: EpisodeStore, history: int, in_memory: int
) -> None:
    """Pixel, action and proprioception name their episode and step, so any mix-up shows."""
    windows = FrameWindows(store, range(len(LENGTHS)), history, in_memory=in_memory)
    expected = [(n, step) for n, length in enumerate(LENGTHS) for step in range(length)]
    assert len(windows.current) == len(expected)
    batch = windows.window(windows.current)
    context = to_uint8(batch.context)[:, :, 0, 0, 0].tolist()
    target = to_uint8(batch.target)[:, 0, 0, 0].tolist()
    for row, (number, step) in enumerate(expected):
        past = range(step - history + 1, step + 1)
        assert context[row] == [50 * number + max(s, 0) for s in past]
        assert target[row] == 50 * number + step + 1
        actions = [0.1 * (number + 1) + 0.001 * s if s >= 0 else 0.0 for s in past]
        np.testing.assert_allclose(batch.actions[row, :, 0], actions, atol=1e-6)
        assert batch.proprio[row, :, 0].tolist() == [100 * number + max(s, 0) for s in (step - 1, step)]
        assert batch.next_proprio[row, 0] == 100 * number + step + 1


def test_remaining_counts_the_successors_within_the_episode(store: EpisodeStore) -> None:
    """What training on own roll-outs relies on not to run into the next episode."""
    windows = FrameWindows(store, range(len(LENGTHS)), HISTORY)
    assert windows.remaining.tolist() == [5, 4, 3, 2, 1, 1, 3, 2, 1]
    last = to_uint8(to_float(windows.frames[windows.current + windows.remaining]))[:, 0, 0, 0].tolist()
    assert last == [5] * 5 + [51] + [103] * 3


def test_only_the_chosen_episodes_in_the_chosen_order(store: EpisodeStore) -> None:
    windows = FrameWindows(store, [2, 0], HISTORY)
    assert windows.frames[windows.current][:, 0, 0, 0].tolist() == [100, 101, 102, 0, 1, 2, 3, 4]


def test_cameras_are_stacked_in_contract_order(store: EpisodeStore) -> None:
    windows = FrameWindows(store, [1], HISTORY)
    assert windows.frames[windows.current[0]][:, 3, 3].tolist() == [50, 50, 50, 51, 51, 51]


@pytest.mark.parametrize("episodes", [[0, 1, 2], [2, 0]])
def test_frames_of_the_files_are_those_in_memory(store: EpisodeStore, episodes: list[int]) -> None:
    held, stored = (FrameWindows(store, episodes, HISTORY, in_memory=size) for size in (IN_MEMORY, 0))
    assert isinstance(held.frames, torch.Tensor) and isinstance(stored.frames, StoredFrames)
    assert len(stored.frames) == len(held.frames) and stored.frames.shape == held.frames.shape
    rows = torch.tensor([[0, 5], [3, len(held.frames) - 1]])
    assert torch.equal(stored.frames[rows], held.frames[rows]) and torch.equal(stored.frames[2:7], held.frames[2:7])
    assert stored.frames[rows].is_contiguous()


def test_no_episodes_is_an_error_that_says_so(store: EpisodeStore) -> None:
    with pytest.raises(ValueError, match="no episodes to learn from"):
        FrameWindows(store, [], HISTORY)


def test_start_states_are_the_first_frames(store: EpisodeStore) -> None:
    starts = StartStates.of(store, [0, 1, 2])
    assert starts.frames[:, 0, 0, 0].tolist() == [0, 50, 100] and starts.proprio[:, 0].tolist() == [0, 100, 200]
    parts = starts.split(2)
    assert [len(part) for part in parts] == [2, 1]
    assert torch.equal(torch.cat([part.frames for part in parts]), starts.frames)
    assert torch.equal(torch.cat([part.proprio for part in parts]), starts.proprio)
    assert starts[torch.tensor([2, 2])].proprio[:, 0].tolist() == [200, 200]

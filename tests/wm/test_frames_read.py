"""Single frames of long episodes are read alone: of an episode no more is copied than is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import small_contract, small_store, world_model

from world4rl_data.store import EpisodeStore
from world4rl_wm.measures.counterfactual import counterfactual_pairs, differences
from world4rl_wm.model.frames import StartStates
from world4rl_wm.uncertainty.replay import replayed_errors

CONTRACT = small_contract()
LENGTHS = (40, 3)


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    return small_store(tmp_path / "store", CONTRACT, LENGTHS)


@pytest.fixture
def copied(store: EpisodeStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames the store has handed out, call by call."""
    counts: list[int] = []
    whole = EpisodeStore.frames

    def frames(self: EpisodeStore, *asked: Any) -> np.ndarray:
        found = whole(self, *asked)
        counts.append(len(found))
        return found

    monkeypatch.setattr(EpisodeStore, "frames", frames)
    return counts


def test_start_states_copy_a_frame_of_each_episode(store: EpisodeStore, copied: list[int]) -> None:
    starts = StartStates.of(store, [1, 0])
    assert copied == [1, 1]
    assert all(np.array_equal(starts.frames[row], store.frames(e)[0]) for row, e in enumerate((1, 0)))


def test_replayed_errors_copy_each_frame_once(store: EpisodeStore, copied: list[int]) -> None:
    replayed_errors(world_model(CONTRACT), {}, store, [0, 1])
    assert sum(copied) == 2 * (1 + max(LENGTHS))  # the start, then a frame of each a step: past an end the last one


def test_counterfactuals_copy_what_is_compared(store: EpisodeStore, copied: list[int]) -> None:
    store.infos[:] = [info.__class__(**vars(info) | {"seed": 0}) for info in store.infos]
    counterfactual_pairs(store)
    assert copied == [1, 1]
    copied.clear()
    differences(world_model(CONTRACT), store, [(0, 1)], horizon=2)
    assert sorted(copied) == [1, 1, 2, 2]

"""Stores that are put together of others: what is there already is taken only where it is of the same episodes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from dream_rig import press_store

from world4rl.runs.run_folder import joined_store
from world4rl_data.store import EpisodeStore, StoreError


def test_a_join_grows_with_its_last_part(tmp_path: Path) -> None:
    first, last = press_store(tmp_path / "first", (3, 4), source="expert"), press_store(tmp_path / "last", (2,))
    joined_store(tmp_path / "all", [first, last])
    shutil.rmtree(tmp_path / "last")
    joined = joined_store(tmp_path / "all", [first, press_store(tmp_path / "last", (2, 5))])
    assert [info.length for info in joined.infos] == [3, 4, 2, 5]
    wanted = [info.digest for part in ("first", "last") for info in EpisodeStore.open(tmp_path / part).infos]
    assert [info.digest for info in EpisodeStore.open(tmp_path / "all").infos] == wanted
    np.testing.assert_array_equal(joined.actions(3), EpisodeStore.open(tmp_path / "last").actions(1))


def test_a_join_of_other_episodes_is_refused(tmp_path: Path) -> None:
    """A part that was recorded again has as many episodes: the count alone would take the old ones for them."""
    press_store(tmp_path / "part", (3, 4))
    joined_store(tmp_path / "all", [EpisodeStore.open(tmp_path / "part")])
    shutil.rmtree(tmp_path / "part")
    again = press_store(tmp_path / "part", (3, 5))
    with pytest.raises(StoreError, match=r"all was joined of other episodes than .*part hold now: remove it"):
        joined_store(tmp_path / "all", [again])


def test_an_episode_of_two_parts_is_joined_once(tmp_path: Path) -> None:
    """The first time and after an interruption alike."""
    parts = [press_store(tmp_path / name, lengths) for name, lengths in (("a", (3,)), ("b", (3, 4)))]
    for _ in range(2):
        assert [info.length for info in joined_store(tmp_path / "all", parts).infos] == [3, 4]


def test_another_episode_of_the_same_name_is_refused(tmp_path: Path) -> None:
    parts = [press_store(tmp_path / name, (length,)) for name, length in (("a", 3), ("b", 4))]
    for _ in range(2):
        with pytest.raises(StoreError, match="policy-0 is already in"):
            joined_store(tmp_path / "all", parts)

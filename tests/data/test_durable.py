"""A power cut: what has a name is on the disk before it gets the name, and so are the files that it speaks of."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from data_fakes import messages, write_bag
from store_made import SIM, made_episode

from world4rl_data.contract import TaskContract
from world4rl_data.durable import replace_file, sync_folder
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore

PUSH = TaskContract.load("franka_sim_push")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """("sync", name) and ("rename", new name) in their order."""
    calls: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        calls.append(("sync", name.replace(f".{os.getpid()}.tmp", "")))
        fsync(handle)

    def renamed(source: Path, target: Path) -> None:
        replace(source, target)
        calls.append(("rename", target.name))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return calls


def test_a_closed_bag_is_on_the_disk_whole(tmp_path: Path, done: list[tuple[str, str]]) -> None:
    write_bag(tmp_path / "e", PUSH, list(messages(PUSH)))
    files = ["metadata.yaml", "episode.json"]
    written = [step for name in files for step in (("sync", name), ("rename", name))]
    assert done[:2] == [("sync", "e.partial"), ("sync", tmp_path.name)]  # from the start the open bag can be found
    assert done[2:4] == written[2:]  # should closing fail, how much is missing is known
    assert done[4:] == [
        ("sync", "e_0.mcap"),
        *written,
        ("sync", "e.partial"),
        ("rename", "e"),
        ("sync", tmp_path.name),
    ]


def test_an_index_speaks_of_arrays_that_are_on_the_disk(tmp_path: Path, done: list[tuple[str, str]]) -> None:
    with EpisodeStore.create(tmp_path / "s", SIM) as store:
        done.clear()
        store.append(made_episode(0, 6, Outcome.SUCCESS))
        store.flush()
        arrays = {f"{name}.bin" for name in store._layout}
    at = done.index(("sync", "index.json"))
    assert {name for _, name in done[:at]} == arrays
    assert done[at + 1 :] == [("rename", "index.json"), ("sync", "s")]


def test_a_file_that_cannot_be_synced_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "the disk is broken")))
    with pytest.raises(OSError, match="broken"):
        replace_file(tmp_path / "a", "new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(("number", "told"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_syncs_no_folders_is_no_error(tmp_path: Path, monkeypatch, number, told) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, "from the file system")

    monkeypatch.setattr(os, "fsync", fsync)
    if told:
        with pytest.raises(OSError, match="from the file system"):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)

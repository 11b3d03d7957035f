"""A disk that runs full: nothing is half written, nothing that was there is lost, and the same call goes on.

The limit on a file's size (RLIMIT_FSIZE) stands for the disk: a write that goes beyond it fails as on a full one.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from data_fakes import TYPES, messages, write_bag
from store_made import SIM, made_episode, made_store

from world4rl.cli import main
from world4rl_data.bag_reader import EpisodeBag
from world4rl_data.bag_writer import BagTopic
from world4rl_data.build import build_store
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.lerobot.export import export_store
from world4rl_data.partial_folder import FolderError
from world4rl_data.recorder import EpisodeRecorder, RecorderConfig, RecorderError
from world4rl_data.recover import being_recorded, recover_bag
from world4rl_data.store import EpisodeStore, StoreError
from world4rl_data.store_index import write_index
from world4rl_data.store_verify import verify_store

PUSH = TaskContract.load("franka_sim_push")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_episode_that_does_not_fit_leaves_the_store_whole(tmp_path: Path) -> None:
    made_store(tmp_path / "s", 2)
    before = EpisodeStore.open(tmp_path / "s").content_hash
    size = (tmp_path / "s/images_wrist.bin").stat().st_size
    with EpisodeStore.open(tmp_path / "s") as store:
        with (
            room_for(size + 5000),
            pytest.raises(StoreError, match=r"cannot take episode made-2 .*too large.* Make room"),
        ):
            store.append(made_episode(2, 6, Outcome.SUCCESS))
        assert {p.name: p.stat().st_size // store.row_bytes(p.stem) for p in (tmp_path / "s").glob("*.bin")} == {
            f"{name}.bin": store.rows for name in store._layout
        }
        assert len(store) == 2 and store.content_hash == before
        store.append(made_episode(2, 6, Outcome.SUCCESS))
    found = verify_store(tmp_path / "s", progress=False)
    assert (found.episodes, found.damaged) == (3, [])


def test_an_index_that_does_not_fit_stays_as_it_was(tmp_path: Path) -> None:
    store = made_store(tmp_path / "s", 3)
    before = (tmp_path / "s/index.json").read_bytes()
    with room_for(500), pytest.raises(StoreError, match=r"index\.json cannot be written .*stays as it was"):
        write_index(tmp_path / "s", SIM, store.infos[:2])
    assert (tmp_path / "s/index.json").read_bytes() == before and not list((tmp_path / "s").glob("*.tmp"))


def test_a_build_goes_on_where_the_disk_was_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(4):
        write_bag(tmp_path / f"bags/e{n}", PUSH, list(messages(PUSH, steps=3, seed=n)))
    whole = build_store(tmp_path / "bags", tmp_path / "whole", progress=False)
    words = ["dataset", "build", str(tmp_path / "bags"), "--out", str(tmp_path / "s"), "--workers", "1"]
    size = (tmp_path / "whole/images_wrist.bin").stat().st_size
    with room_for(size * 5 // 8):
        assert main(words) == 2
    assert "cannot take episode e2" in capsys.readouterr().err
    assert len(EpisodeStore.open(tmp_path / "s")) == 2 and not verify_store(tmp_path / "s", progress=False).damaged
    assert main(words) == 0
    assert EpisodeStore.open(tmp_path / "s").content_hash == whole.content_hash


def test_an_export_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    made_store(tmp_path / "s", 2)
    with room_for(3000), pytest.raises(FolderError, match=r"does not fit .* Make room"):
        export_store(tmp_path / "s", tmp_path / "set", progress=False)
    assert not (tmp_path / "set").exists() and not (tmp_path / "set.partial").exists()


def test_an_import_that_does_not_fit_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An episode that finds no room is not unfit: half a store under the final name would pass for the whole set."""
    made_store(tmp_path / "s", 4)
    export_store(tmp_path / "s", tmp_path / "set", workers=1, progress=False)
    words = ["dataset", "import-lerobot", str(tmp_path / "set"), "--out", str(tmp_path / "back"), "--workers", "1"]
    size = (tmp_path / "s/images_wrist.bin").stat().st_size
    with room_for(size * 5 // 8):
        assert main(words) == 2
    assert "cannot take episode made-2" in capsys.readouterr().err
    assert not (tmp_path / "back").exists() and not (tmp_path / "back.partial").exists()
    assert main(words) == 0 and len(EpisodeStore.open(tmp_path / "back")) == 4


def test_a_store_that_was_cut_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_store(tmp_path / "s", 2)
    with (tmp_path / "s/stamps.bin").open("r+b") as file:
        file.truncate(20)
    for command in ("info", "verify", "validate"):
        assert main(["dataset", command, str(tmp_path / "s")]) == 2
        assert "stamps.bin has 20 bytes" in capsys.readouterr().err


def test_a_bag_that_could_not_be_closed_can_be_recovered_while_the_recorder_lives(tmp_path: Path) -> None:
    """The recorder advises just that, and whoever asked for the end still holds its error."""
    recorder = EpisodeRecorder(PUSH, RecorderConfig(tmp_path, min_free_mb=0.0, flush_s=0.0))
    recorder.start("push", 0)
    partial = recorder.uri.with_name(recorder.uri.name + ".partial")
    for topic, stamp, message in messages(PUSH):
        kind = message.__msgtype__
        definition = TYPES.generate_msgdef(kind, ros_version=2)[0]
        recorder.push(BagTopic(topic, kind, definition), stamp, bytes(TYPES.serialize_cdr(message, kind)))
    file = next(partial.glob("*.mcap"))
    while file.stat().st_size < 50_000:  # some pictures
        time.sleep(0.01)
    assert being_recorded(partial)
    with room_for(50_000), pytest.raises(RecorderError, match="world4rl dataset recover") as told:
        recorder.stop(Outcome.SUCCESS, stamp)
    assert told.value.__cause__ is not None and not being_recorded(partial)
    assert recover_bag(partial).messages > 0


def test_a_full_disk_costs_messages_but_none_is_lost_without_a_word(tmp_path: Path) -> None:
    """mcap's writer throws the chunk away that it could not write, and would go on counting and indexing it."""
    recorder = EpisodeRecorder(PUSH, RecorderConfig(tmp_path, min_free_mb=0.0, flush_s=0.01))
    recorder.start("push", 0)
    partial = recorder.uri.with_name(recorder.uri.name + ".partial")
    topic, rng = BagTopic("/text", "std_msgs/msg/String", "string data\n"), np.random.default_rng(0)
    with room_for(300_000):
        for stamp in range(1, 11):
            recorder.push(topic, stamp, rng.bytes(50_000))
        deadline = time.monotonic() + 5
        while not recorder.trouble and time.monotonic() < deadline:
            time.sleep(0.01)
    for stamp in range(11, 21):  # there is room again
        recorder.push(topic, stamp, rng.bytes(50_000))
    with pytest.raises(RecorderError, match="could not close"):
        recorder.stop(Outcome.SUCCESS, 20)
    saved = recover_bag(partial)
    assert saved.lost_messages is not None and saved.lost_messages > 0 and recorder.dropped["/text"] >= 10
    assert saved.messages + saved.lost_messages + recorder.dropped["/text"] == 20
    with EpisodeBag(saved.path) as bag:
        assert sum(1 for _ in bag.raw_messages()) == saved.messages and bag.record.dropped == recorder.dropped

"""A store goes to LeRobot's format and comes back: numbers and labels exactly, pictures within the codec's error."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from store_made import SIM, made_episode, made_store

from world4rl_data.contract import ContractMismatch, TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.lerobot import dataset_writer, export, import_store
from world4rl_data.lerobot.dataset import LeRobotDataset
from world4rl_data.lerobot.export import export_store
from world4rl_data.lerobot.import_store import import_dataset
from world4rl_data.lerobot.layout import LeRobotError
from world4rl_data.lerobot.mapping import Mapping
from world4rl_data.lerobot.video import VideoConfig
from world4rl_data.partial_folder import FolderError
from world4rl_data.store import EpisodeStore


def _error(before: EpisodeStore, after: EpisodeStore) -> float:
    """Largest mean absolute difference of any frame, in levels of 255."""
    worst = 0.0
    for row in range(len(before)):
        for stream in before.contract.images:
            a, b = (store.images(row, stream.name).astype(float) for store in (before, after))
            worst = max(worst, np.abs(a - b).mean((1, 2, 3)).max())
    return worst


@pytest.mark.parametrize("workers", [1, 2])
def test_round_trip_keeps_numbers_and_labels_exactly(tmp_path, workers):
    before = made_store(tmp_path / "store")
    export_store(tmp_path / "store", tmp_path / "set", workers=workers, progress=False)
    report = import_dataset(tmp_path / "set", tmp_path / "back", workers=workers, progress=False)
    after = EpisodeStore.open(tmp_path / "back")
    assert report.added == len(after) == 5 and not report.skipped
    for row in range(len(before)):
        a, b = before.episode(row), after.episode(row)
        for name in ("actions", "proprio", "stamps", "action_sources"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        images = dict.fromkeys(("images", "actions", "proprio", "stamps", "action_sources"))
        assert dataclasses.replace(a, **images) == dataclasses.replace(b, **images)
        assert before.infos[row].uri == after.infos[row].uri
    assert 0 < _error(before, after) < 6


def test_better_videos_come_nearer(tmp_path):
    before = made_store(tmp_path / "store", 2)
    errors = []
    for name, config in {"low": VideoConfig(crf=40), "best": VideoConfig(crf=0, pixel_format="yuv444p")}.items():
        export_store(tmp_path / "store", tmp_path / name, config, workers=1, progress=False)
        import_dataset(tmp_path / name, tmp_path / f"{name}-back", workers=1, progress=False)
        errors.append(_error(before, EpisodeStore.open(tmp_path / f"{name}-back")))
    assert errors[1] < 1.5 < errors[0]


def test_files_and_tables_are_those_of_the_format(tmp_path):
    store = made_store(tmp_path / "store")
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    files = {str(p.relative_to(tmp_path / "set")) for p in (tmp_path / "set").rglob("*") if p.is_file()}
    videos = {f"videos/observation.images.{s.name}/chunk-000/file-000.mp4" for s in SIM.images}
    meta = {"meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/world4rl.json"}
    assert files == videos | meta | {"meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet"}
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"], info["total_tasks"]) == ("v3.0", 10, 45, 2)
    assert info["features"]["action"] == {"dtype": "float32", "shape": [7], "names": list(SIM.action_names)}
    table = pq.read_table(tmp_path / "set/data/chunk-000/file-000.parquet")
    assert table.num_rows == 45 and str(table.schema.field("action").type) == "fixed_size_list<element: float>[7]"
    assert table.column("index").to_pylist() == list(range(45))
    last = np.array(table.column("action")[6].as_py())  # beside the last picture of the first episode: nobody moves
    np.testing.assert_array_equal(last, [0, 0, 0, 0, 0, 0, store.actions(0)[-1][-1]])
    episode = pq.read_table(tmp_path / "set/meta/episodes/chunk-000/file-000.parquet").to_pylist()[2]
    span = [episode[f"videos/observation.images.front/{edge}_timestamp"] for edge in ("from", "to")]
    assert span == pytest.approx([1.5, 2.4]) and episode["dataset_from_index"] == 15 and episode["length"] == 9
    assert pq.read_schema(tmp_path / "set/meta/tasks.parquet").pandas_metadata["index_columns"] == ["task"]
    first = table.slice(0, 7).to_pydict()
    assert first["next.success"] == [i + 1 >= store.infos[0].success_index for i in range(6)] + [True]
    assert first["next.done"] == [False] * 5 + [True] * 2
    assert first["action"][-1] == [0.0] * 6 + [first["action"][-2][-1]]


def test_statistics_are_those_of_all_frames(tmp_path):
    store = made_store(tmp_path / "store")
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    proprio = store.array("proprio").astype(float)
    for name, function in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std)):
        np.testing.assert_allclose(stats["observation.state"][name], function(proprio, axis=0), rtol=1e-6, atol=1e-9)
    assert stats["observation.state"]["count"] == [45]
    front = store.array("images_front") / 255
    np.testing.assert_allclose(np.squeeze(stats["observation.images.front"]["mean"]), front.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(np.squeeze(stats["observation.images.front"]["std"]), front.std((0, 1, 2)), rtol=1e-6)
    assert stats["index"]["max"] == [44] and stats["episode_index"]["max"] == [4]


def test_files_are_cut_at_their_size_and_read_across_the_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_writer.layout, "VIDEO_FILE_MB", 0)
    monkeypatch.setattr(dataset_writer.layout, "DATA_FILE_MB", 0)
    monkeypatch.setattr(dataset_writer.layout, "CHUNKS_SIZE", 2)
    before = made_store(tmp_path / "store")
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    for pattern in ("data/chunk-002/file-000.parquet", "videos/*/chunk-002/file-000.mp4"):
        assert list((tmp_path / "set").glob(pattern)), pattern
    import_dataset(tmp_path / "set", tmp_path / "back", workers=1, progress=False)
    after = EpisodeStore.open(tmp_path / "back")
    np.testing.assert_array_equal(before.array("stamps"), after.array("stamps"))
    assert _error(before, after) < 6


def test_nothing_is_overwritten_and_nothing_is_left_half_written(tmp_path, monkeypatch):
    made_store(tmp_path / "store")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine.txt").write_text("mine")
    with pytest.raises(FolderError, match="not overwritten"):
        export_store(tmp_path / "store", tmp_path / "taken", workers=1, progress=False)
    killed = tmp_path / "set.partial"
    killed.mkdir()
    (killed / "left").write_text("of a killed run")
    with monkeypatch.context() as patch:
        patch.setattr(export.DatasetWriter, "close", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    assert not killed.exists() and not (tmp_path / "set").exists()
    killed.mkdir()
    (killed / "left").write_text("of a killed run")
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    assert not killed.exists() and not list((tmp_path / "set").rglob("left"))
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == ["data", "meta", "videos"]


def test_what_the_format_cannot_hold_is_refused(tmp_path):
    data = SIM.to_dict()
    data["images"][0] |= {"height": 31}
    odd = TaskContract.from_dict(data)
    made_store(tmp_path / "odd", 1, odd)
    with pytest.raises(LeRobotError, match=r"observation.images.front.*32x31.*yuv444p"):
        export_store(tmp_path / "odd", tmp_path / "set", workers=1, progress=False)
    export_store(tmp_path / "odd", tmp_path / "set", VideoConfig(pixel_format="yuv444p"), workers=1, progress=False)
    assert next(LeRobotDataset(tmp_path / "set").frames(0, "observation.images.front")).shape == (31, 32, 3)
    slow = TaskContract.from_dict({**SIM.to_dict(), "control_rate_hz": 12.5})
    made_store(tmp_path / "slow", 1, slow)
    with pytest.raises(LeRobotError, match=r"12\.5 Hz.*whole"):
        export_store(tmp_path / "slow", tmp_path / "slow-set", workers=1, progress=False)


def test_own_dataset_wants_no_mapping_and_no_other_contract(tmp_path):
    made_store(tmp_path / "store", 1)
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    with pytest.raises(LeRobotError, match="leave the mapping out"):
        import_dataset(tmp_path / "set", tmp_path / "back", mapping=Mapping(stride=2))
    with pytest.raises(ContractMismatch, match=r"actions\.gripper"):
        import_dataset(tmp_path / "set", tmp_path / "back", TaskContract.load("franka_sim_press"))
    assert not (tmp_path / "back").exists()


def test_an_episode_of_one_action_survives(tmp_path):
    with EpisodeStore.create(tmp_path / "store", SIM) as store:
        store.append(made_episode(0, 1, Outcome.SUCCESS))
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    import_dataset(tmp_path / "set", tmp_path / "back", workers=1, progress=False)
    back = EpisodeStore.open(tmp_path / "back")
    assert (back.infos[0].length, back.infos[0].success_index) == (1, 1)


def test_an_episode_whose_id_is_taken_is_left_out(tmp_path, monkeypatch):
    made_store(tmp_path / "store", 3)
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    read = import_store.read_episode
    monkeypatch.setattr(import_store, "read_episode", lambda *a: dataclasses.replace(read(*a), episode_id="same"))
    report = import_dataset(tmp_path / "set", tmp_path / "back", workers=1, progress=False)
    assert report.added == 1 and [number for number, _ in report.skipped] == [1, 2]
    assert "same is already in" in report.skipped[0][1]

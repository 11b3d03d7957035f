"""Puts encoded episodes, one after the other, into the tables and videos of a LeRobot dataset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..contract import TaskContract
from ..episode import Outcome
from ..store_rows import EpisodeInfo
from . import layout
from .stats import RunningStats, Stats, columns, vector_stats
from .tables import TableWriter, episode_schema, frame_schema, frame_table, write_tasks
from .video import VideoJoiner, feature

FLUSH_EPISODES = 100  # rows of the episodes' table held in memory


@dataclass(frozen=True)
class EncodedEpisode:
    """One episode, ready to be put into the dataset."""

    columns: dict[str, np.ndarray]  # of data/, but those that depend on the episode's place
    stats: dict[str, Stats]
    videos: dict[str, Path]  # image key -> the episode alone, encoded; moved into the dataset's video
    frames: int


@dataclass
class _Shard:
    """Where the next rows or frames go: file-<file> of chunk-<chunk>."""

    chunk: int = 0
    file: int = 0

    @property
    def place(self) -> dict[str, int]:
        return {"chunk_index": self.chunk, "file_index": self.file}

    def advance(self) -> None:
        self.chunk, self.file = layout.next_file(self.chunk, self.file)


class DatasetWriter:
    """Writes in constant memory: `add` every episode, then `close`. Files are cut at LeRobot's sizes."""

    def __init__(self, root: Path, contract: TaskContract, fps: int) -> None:
        self.root, self.contract, self.fps = root, contract, fps
        self.tasks: list[str] = []
        self.episodes = self.frames = 0
        self.data_mb, self.video_mb = float(layout.DATA_FILE_MB), float(layout.VIDEO_FILE_MB)
        self._schema = frame_schema(layout.vector_features(contract))
        self._stats = RunningStats()
        self._data: TableWriter | None = None
        self._data_shard = _Shard()
        self._video_shards: dict[str, _Shard] = {}
        self._videos: dict[str, VideoJoiner] = {}
        self._rows: list[dict[str, Any]] = []
        self._episodes: TableWriter | None = None

    def add(self, episode: EncodedEpisode, info: EpisodeInfo) -> None:
        """Append one episode; its own video files are consumed."""
        if info.task not in self.tasks:
            self.tasks.append(info.task)
        place = self._place_columns(episode, self.tasks.index(info.task))
        stats = {**episode.stats, **{key: vector_stats(values) for key, values in place.items()}}
        row: dict[str, Any] = {"episode_index": self.episodes, "tasks": [info.task], "length": episode.frames}
        row |= self._add_frames(episode, place)
        for key, path in episode.videos.items():
            row |= self._add_video(key, path, episode.frames)
        row |= dict(columns(stats))
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        row |= labels_of(info)
        self._rows.append(row)
        self._stats.add(stats)
        self.episodes, self.frames = self.episodes + 1, self.frames + episode.frames
        if len(self._rows) >= FLUSH_EPISODES:
            self._flush()

    def close(self) -> None:
        """Finish all files; the dataset is complete after this."""
        self._flush()
        for open_file in (self._data, self._episodes, *self._videos.values()):
            if open_file is not None:
                open_file.close()
        write_tasks(self.tasks, self.root)
        videos = {
            key: feature(self.root / layout.VIDEO.format(video_key=key, chunk_index=0, file_index=0), self.fps)
            for key in self._videos
        }
        info = layout.info(self.contract, self.fps, self.episodes, self.frames, len(self.tasks), videos)
        for name, content in ((layout.INFO, info), (layout.STATS, self._stats.to_dict())):
            (self.root / name).write_text(json.dumps(content, indent=4, ensure_ascii=False))

    def _place_columns(self, episode: EncodedEpisode, task: int) -> dict[str, np.ndarray]:
        return {
            "episode_index": np.full(episode.frames, self.episodes, np.int64),
            "index": np.arange(self.frames, self.frames + episode.frames, dtype=np.int64),
            "task_index": np.full(episode.frames, task, np.int64),
        }

    def _add_frames(self, episode: EncodedEpisode, place_columns: dict[str, np.ndarray]) -> dict[str, Any]:
        table = frame_table({**episode.columns, **place_columns}, self._schema)
        if self._data is not None and self._data.megabytes >= self.data_mb:
            self._data.close()
            self._data = None
            self._data_shard.advance()
        if self._data is None:
            self._data = TableWriter(self.root / layout.DATA.format(**self._data_shard.place), self._schema)
        self._data.write(table)
        place = {f"data/{name}": value for name, value in self._data_shard.place.items()}
        return place | {"dataset_from_index": self.frames, "dataset_to_index": self.frames + episode.frames}

    def _add_video(self, key: str, path: Path, frames: int) -> dict[str, Any]:
        shard = self._video_shards.setdefault(key, _Shard())
        joiner = self._videos.get(key)
        if joiner is not None and joiner.megabytes + path.stat().st_size / 2**20 >= self.video_mb:
            joiner.close()
            shard.advance()
            joiner = None
        if joiner is None:
            joiner = VideoJoiner(self.root / layout.VIDEO.format(video_key=key, **shard.place), self.fps)
            self._videos[key] = joiner
        begin, end = joiner.append(path, frames)
        path.unlink()
        place = {**shard.place, "from_timestamp": begin, "to_timestamp": end}
        return {f"videos/{key}/{name}": value for name, value in place.items()}

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._episodes is None:
            path = self.root / layout.EPISODES.format(chunk_index=0, file_index=0)
            self._episodes = TableWriter(path, episode_schema(self._rows[0]))
        self._episodes.write(pa.Table.from_pylist(self._rows, schema=self._episodes.schema))
        self._rows = []


def labels_of(info: EpisodeInfo) -> dict[str, Any]:
    """Our columns of the episodes' table."""
    values = {name: getattr(info, name) for name in layout.LABELS} | {"outcome": int(Outcome(info.outcome))}
    return {layout.label(name): value for name, value in values.items()}

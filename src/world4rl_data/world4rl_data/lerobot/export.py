"""From a training store to a LeRobotDataset v3.0.

An episode of T actions becomes T + 1 frames, so that its last observation is not lost. The action beside the last one
asks for nothing (the arm keeps its target, the hand its state); `next.done` marks it and the frame before it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ..contract import TaskContract
from ..episode import hold_action
from ..partial_folder import partial_folder
from ..store import EpisodeStore
from ..store_rows import EpisodeInfo
from ..workers import ordered, with_progress
from . import layout
from .dataset_writer import DatasetWriter, EncodedEpisode
from .layout import LeRobotError
from .stats import Stats, image_stats, sampled_frames, vector_stats
from .video import VideoConfig, encode

TEMPORARY = ".episodes"  # encoded episodes on their way into the videos


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote."""

    path: Path
    episodes: int
    frames: int
    tasks: list[str] = field(default_factory=list)
    megabytes: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.episodes} episodes, {self.frames} frames, {len(self.tasks)} tasks, "
            f"{self.megabytes:.1f} MB (LeRobotDataset {layout.CODEBASE_VERSION})"
        )


def export_store(
    store_path: str | Path,
    out: str | Path,
    config: VideoConfig | None = None,
    episodes: list[int] | None = None,
    workers: int | None = 1,
    progress: bool = True,
) -> ExportReport:
    """Write episodes of a store (all, or those of the given rows) as a new LeRobot dataset in the folder `out`.

    Raises LeRobotError for what the format cannot hold and FolderError where `out` is not empty.
    """
    store, config = EpisodeStore.open(store_path), config or VideoConfig()
    chosen = list(range(len(store))) if episodes is None else episodes
    if not chosen:
        raise LeRobotError(f"{store_path} has no episode to export: choose others, or collect some first")
    fps = whole_rate(store.contract)
    for stream in store.contract.images:
        config.require_size(stream.height, stream.width, layout.image_key(stream.name))
    with partial_folder(out) as folder:
        (folder / TEMPORARY).mkdir()
        writer = DatasetWriter(folder, store.contract, fps)
        work = partial(encode_episode, Path(store_path), folder / TEMPORARY, fps, config, uuid4().hex)
        encoded = ordered(work, chosen, workers)
        for row, part in with_progress(encoded, len(chosen), "episodes", "episode", progress):
            if isinstance(part, Exception):
                raise part
            writer.add(part, store.infos[row])
        writer.close()
        (folder / TEMPORARY).rmdir()
        _write_ours(folder, store, chosen, config)
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
    return ExportReport(Path(out), len(chosen), writer.frames, writer.tasks, size)


def whole_rate(contract: TaskContract) -> int:
    """The contract's control rate as LeRobot's fps, which is a whole number."""
    if contract.control_rate_hz != round(contract.control_rate_hz):
        raise LeRobotError(
            f"contract '{contract.name}' runs at {contract.control_rate_hz} Hz, LeRobot's fps is a whole number: "
            "record at a whole rate to export"
        )
    return round(contract.control_rate_hz)


def _write_ours(folder: Path, store: EpisodeStore, chosen: list[int], config: VideoConfig) -> None:
    ours = {
        "format": layout.OUR_FORMAT,
        "contract": store.contract.to_dict(),
        "contract_hash": store.contract.hash,
        "store_content_hash": store.content_hash if len(chosen) == len(store) else None,
        "video": {"codec": "h264", "crf": config.crf, "pixel_format": config.pixel_format},
    }
    (folder / layout.OURS).write_text(json.dumps(ours, indent=1))


def encode_episode(
    store_path: Path, temporary: Path, fps: int, config: VideoConfig, export: str, row: int
) -> EncodedEpisode:
    """One episode's columns, statistics and encoded videos; one picture in memory at a time."""
    store = _opened(store_path, export)
    info, columns = store.infos[row], frame_columns(store, row, fps)
    stats: dict[str, Stats] = {}
    videos = {}
    for stream in store.contract.images:
        key, frames = layout.image_key(stream.name), store.images(row, stream.name)
        videos[key] = temporary / f"{row:06d}-{stream.name}.mp4"
        encode(frames, videos[key], fps, config)
        stats[key] = image_stats(frames[sampled_frames(len(frames))])
    stats |= {key: vector_stats(values) for key, values in columns.items()}
    return EncodedEpisode(columns, stats, videos, info.length + 1)


@lru_cache(maxsize=1)
def _opened(path: Path, export: str) -> EpisodeStore:
    """The store, opened once per process and `export`: the next one may find another store there."""
    return EpisodeStore.open(path)


def frame_columns(store: EpisodeStore, row: int, fps: int) -> dict[str, np.ndarray]:
    """The episode's columns of data/, (T + 1,) or (T + 1, D), but those that depend on its place in the dataset."""
    info: EpisodeInfo = store.infos[row]
    episode, steps = store.rows_of(row), np.arange(info.length + 1)
    actions = np.array(store.array("actions")[episode])
    actions[-1] = hold_action(actions[-2], store.contract)
    first = info.length + 1 if info.success_index is None else info.success_index
    success = np.minimum(steps + 1, info.length) >= first
    columns: dict[str, Any] = {layout.ACTION: actions}
    if store.contract.proprio_dim:
        columns[layout.STATE] = np.array(store.array("proprio")[episode])
    return {
        **columns,
        layout.REWARD: success.astype(np.float32),
        layout.DONE: steps >= info.length - 1,
        layout.SUCCESS: success,
        layout.STAMP: np.array(store.array("stamps")[episode]),
        layout.ACTION_SOURCE: store.array("sources")[episode].astype(np.int64),
        "timestamp": (steps / fps).astype(np.float32),
        "frame_index": steps.astype(np.int64),
    }

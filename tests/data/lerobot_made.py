"""Foreign LeRobot datasets, written column by column as other recorders write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from store_made import moving

from world4rl_data.lerobot.video import VideoConfig, encode

CAMERA = "observation.images.top"


def foreign(root: Path, episodes: list[dict[str, np.ndarray]], names: dict[str, Any], **options: Any) -> Path:
    """A dataset with `fps` (10), one camera of 48x64 stored as video or PNG (`kind`), all rows in one row group.

    `episodes`: per episode the columns "action", "observation.state" and any "next.*", (N, D) or (N,).
    """
    fps, kind = options.get("fps", 10), options.get("kind", "video")
    columns: dict[str, list[Any]] = {}
    rows, at = [], 0
    video = root / "videos" / CAMERA / "chunk-000/file-000.mp4"
    for number, episode in enumerate(episodes):
        length = len(episode["action"])
        place = {"episode_index": number, "length": length, "tasks": ["pick"], "dataset_from_index": at}
        begin, end = at / fps, (at + length) / fps
        place |= {"dataset_to_index": at + length, "data/chunk_index": 0, "data/file_index": 0}
        if kind == "video":
            span = {"chunk_index": 0, "file_index": 0, "from_timestamp": begin, "to_timestamp": end}
            place |= {f"videos/{CAMERA}/{name}": value for name, value in span.items()}
        rows.append(place)
        steps = np.arange(length)
        own = {"timestamp": (steps / fps).astype(np.float32), "frame_index": steps, "episode_index": steps * 0 + number}
        for key, values in {**episode, **own, "index": at + steps, "task_index": steps * 0}.items():
            columns.setdefault(key, []).extend(values.tolist())
        at += length
    pictures = moving(at, 48, 64, 1)
    if kind == "image":
        png = [cv2.imencode(".png", p[..., ::-1])[1].tobytes() for p in pictures]
        columns[CAMERA] = [{"bytes": data, "path": None} for data in png]
    else:
        video.parent.mkdir(parents=True)
        encode(pictures, video, fps, VideoConfig())
    for folder in ("data/chunk-000", "meta/episodes/chunk-000"):
        (root / folder).mkdir(parents=True)
    pq.write_table(pa.table(columns), root / "data/chunk-000/file-000.parquet")
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table({"task_index": [0], "__index_level_0__": ["pick"]}), root / "meta/tasks.parquet")
    features = {CAMERA: {"dtype": kind, "shape": [48, 64, 3], "names": ["height", "width", "channels"]}}
    for key, values in episodes[0].items():
        size = 1 if values.ndim == 1 else values.shape[1]
        features[key] = {"dtype": str(values.dtype), "shape": [size], "names": names.get(key)}
    (root / "meta/info.json").write_text(json.dumps(info_of(features, fps, len(episodes), at)))
    return root


def info_of(features: dict[str, Any], fps: int, episodes: int, frames: int) -> dict[str, Any]:
    one = {"dtype": "int64", "shape": [1], "names": None}
    index = {"timestamp": {**one, "dtype": "float32"}, "frame_index": one, "episode_index": one}
    return {
        "codebase_version": "v3.0",
        "robot_type": "other",
        "total_episodes": episodes,
        "total_frames": frames,
        "fps": fps,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {**features, **index, "index": one, "task_index": one},
    }

"""Reads a LeRobotDataset v3.0 on this machine: what it holds, and one episode at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ..contract import TaskContract
from ..image import ImageError, decode_compressed
from . import layout
from .layout import LeRobotError
from .video import decode


class LeRobotDataset:
    """One dataset folder. Raises LeRobotError for what is missing, damaged or of another version."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.info = self._json(layout.INFO)
        version = str(self.info.get("codebase_version", ""))
        if not version.startswith("v3."):
            raise LeRobotError(
                f"{self.root} has LeRobot's format {version or 'of no version'}, v3.0 is read; convert it first with "
                "lerobot's script convert_dataset_v21_to_v30"
            )
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.fps = float(self.info["fps"])
        self.tasks = self._tasks()
        self.episodes = self._episodes()
        self._file: tuple[Path, pq.ParquetFile] | None = None

    # -- what it holds -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.episodes)

    @cached_property
    def contract(self) -> TaskContract | None:
        """The task contract, where World4RL wrote the dataset."""
        if not (self.root / layout.OURS).is_file():
            return None
        ours = self._json(layout.OURS)
        if ours.get("format") != layout.OUR_FORMAT:
            raise LeRobotError(f"{self.root / layout.OURS} has format {ours.get('format')!r}, not {layout.OUR_FORMAT}")
        return TaskContract.from_dict(ours["contract"])

    @property
    def cameras(self) -> list[str]:
        """Image keys."""
        return [key for key, feature in self.features.items() if feature["dtype"] in ("video", "image")]

    def names(self, key: str) -> list[str]:
        """Names of a vector feature's numbers; empty where it gives none. LeRobot allows lists and dicts of lists."""
        names = self.features.get(key, {}).get("names") or []
        if isinstance(names, dict):
            names = [n for part in names.values() for n in (part if isinstance(part, list) else [part])]
        return [str(name) for name in names]

    def size(self, key: str) -> int:
        """Numbers per frame of a vector feature; 0 where there is no such feature."""
        return int(np.prod(self.features[key]["shape"])) if key in self.features else 0

    # -- one episode ---------------------------------------------------------------------------------------------

    def columns(self, episode: int, keys: list[str]) -> dict[str, np.ndarray]:
        """Number features of one episode, (N,) or (N, D). Only the row groups that hold it are read."""
        table = self._rows(episode, keys)
        found = {}
        for key in keys:
            column = table.column(key).combine_chunks()
            size = self.size(key)
            values = column.flatten() if size > 1 else column
            if size == 1 and hasattr(column.type, "value_type"):  # some datasets keep lists of one number
                values = column.flatten()
            array = values.to_numpy(zero_copy_only=False)
            found[key] = array.reshape(-1, size) if size > 1 else array
            if len(found[key]) != table.num_rows:
                raise LeRobotError(f"{self.root}: episode {episode} has gaps in '{key}'; repair the dataset first")
        return found

    def frames(self, episode: int, key: str) -> Iterator[np.ndarray]:
        """RGB pictures uint8 (H, W, 3) of one camera, one at a time."""
        row = self.episodes[episode]
        if self.features[key]["dtype"] == "image":
            for cell in self._rows(episode, [key]).column(key):
                data = cell.as_py()["bytes"]
                if data is None:
                    raise LeRobotError(f"{self.root}: pictures of '{key}' are not inside the table; embed them first")
                try:
                    yield decode_compressed(data)
                except ImageError as error:
                    raise LeRobotError(f"{self.root}: episode {episode}, '{key}': {error}") from error
            return
        place = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
        path = self.root / str(self.info["video_path"]).format(video_key=key, **place)
        if not path.is_file():
            raise LeRobotError(f"{path} is missing; fetch the dataset with its videos")
        yield from decode(path, row[f"videos/{key}/from_timestamp"], row["length"], self.fps)

    # -- inner ---------------------------------------------------------------------------------------------------

    def _rows(self, episode: int, keys: list[str]) -> Any:
        row = self.episodes[episode]
        place = {name: row[f"data/{name}"] for name in ("chunk_index", "file_index")}
        path = self.root / str(self.info["data_path"]).format(**place)
        if self._file is None or self._file[0] != path:
            if not path.is_file():
                raise LeRobotError(f"{path} is missing; fetch the dataset again")
            self._file = path, pq.ParquetFile(path, memory_map=True)
        begin = row["dataset_from_index"] - self._first_index[path.relative_to(self.root)]
        return _slice(self._file[1], begin, row["length"], keys)

    @cached_property
    def _first_index(self) -> dict[Path, int]:
        """Data file -> index of its first frame in the dataset."""
        first: dict[Path, int] = {}
        for row in self.episodes:
            place = {name: row[f"data/{name}"] for name in ("chunk_index", "file_index")}
            path = Path(str(self.info["data_path"]).format(**place))
            first[path] = min(first.get(path, row["dataset_from_index"]), row["dataset_from_index"])
        return first

    def _tasks(self) -> dict[int, str]:
        """Task by its index."""
        table = pq.read_table(self._existing(layout.TASKS))
        text = next((n for n in ("task", "__index_level_0__") if n in table.schema.names), None)
        if text is None or "task_index" not in table.schema.names:
            raise LeRobotError(f"{self.root / layout.TASKS} has columns {table.schema.names}, not task and task_index")
        return dict(zip(table.column("task_index").to_pylist(), table.column(text).to_pylist(), strict=True))

    def _episodes(self) -> list[dict[str, Any]]:
        """Rows of meta/episodes/ in order, without the statistics."""
        paths = sorted((self.root / "meta/episodes").glob("*/*.parquet"))
        if not paths:
            raise LeRobotError(f"{self.root}/meta/episodes holds no table; fetch the dataset again")
        rows: list[dict[str, Any]] = []
        for path in paths:
            wanted = [n for n in pq.read_schema(path).names if not n.startswith("stats/")]
            rows += pq.read_table(path, columns=wanted).to_pylist()
        return sorted(rows, key=lambda row: row["episode_index"])

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._existing(name).read_text())
        except json.JSONDecodeError as error:
            raise LeRobotError(f"{self.root / name} is damaged ({error}); fetch the dataset again") from error

    def _existing(self, name: str) -> Path:
        path = self.root / name
        if not path.is_file():
            raise LeRobotError(f"{self.root} is not a LeRobotDataset v3.0: {name} is missing")
        return path


def _slice(file: pq.ParquetFile, begin: int, length: int, keys: list[str]) -> Any:
    """Rows begin .. begin + length of a Parquet file, reading only the row groups that hold them."""
    first = None
    groups, at = [], 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if at < begin + length and at + rows > begin:
            first = at if first is None else first
            groups.append(group)
        at += rows
    if at < begin + length or first is None:
        raise LeRobotError(f"a data file has {at} rows, its episodes need {begin + length}; fetch the dataset again")
    return file.read_row_groups(groups, columns=keys).slice(begin - first, length)

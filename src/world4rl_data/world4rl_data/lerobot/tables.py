"""Parquet tables of a LeRobot dataset: frames (data/), episodes and tasks (meta/)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .layout import INDEX_FEATURES, LABELS, TASKS, label

_KINDS = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}
_LABEL_KINDS = {"outcome": pa.int64(), "success_index": pa.int64(), "seed": pa.int64()}
_STAT = pa.list_(pa.float64())
_IMAGE_STAT = pa.list_(pa.list_(_STAT))


def frame_schema(features: dict[str, Any]) -> pa.Schema:
    """Columns of data/: a feature of shape [1] is a plain column, a longer one a list of fixed size."""
    fields = []
    for key, feature in {**features, **INDEX_FEATURES}.items():
        kind, size = _KINDS[feature["dtype"]], feature["shape"][0]
        fields.append(pa.field(key, kind if size == 1 else pa.list_(kind, size)))
    return pa.schema(fields)


def frame_table(columns: dict[str, np.ndarray], schema: pa.Schema) -> pa.Table:
    """`columns`: key -> (T,) or (T, D), in any order."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(np.ascontiguousarray(values).reshape(-1), field.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
        else:
            arrays.append(pa.array(values.reshape(-1), field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def episode_schema(row: dict[str, Any]) -> pa.Schema:
    """Columns of meta/episodes/, by one episode's values. Our labels may be empty, the rest may not."""
    return pa.schema([pa.field(name, _episode_kind(name, value)) for name, value in row.items()])


def _episode_kind(name: str, value: Any) -> pa.DataType:
    if name in {label(own) for own in LABELS}:
        return _LABEL_KINDS.get(name.partition("/")[2], pa.string())
    if name.startswith("stats/"):
        if name.endswith("/count"):
            return pa.list_(pa.int64())
        return _IMAGE_STAT if isinstance(value[0], list) else _STAT
    if name == "tasks":
        return pa.list_(pa.string())
    return pa.float64() if isinstance(value, float) else pa.int64()


class TableWriter:
    """One Parquet file that grows by tables; snappy, as LeRobot writes them."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.schema = path, schema
        self._writer = pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=True)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    @property
    def megabytes(self) -> float:
        return self.path.stat().st_size / 2**20

    def close(self) -> None:
        self._writer.close()


def write_tasks(tasks: list[str], root: Path) -> None:
    """meta/tasks.parquet: task_index by task, as pandas writes a frame whose index is called "task"."""
    string = {"field_name": "task", "name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    index = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [{**index, "metadata": {"encoding": "UTF-8"}}],
        "columns": [{**number, "metadata": None}, string],
        "pandas_version": "2.2.0",
        "creator": {"library": "pyarrow", "version": pa.__version__},
    }
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    path = root / TASKS
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path, compression="snappy")

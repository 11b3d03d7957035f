"""`index.json` of a training store: its contract and what is known of each episode."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

from .contract import TaskContract
from .durable import replace_file, sync_folder
from .episode import Outcome
from .store_rows import EpisodeInfo

FORMAT = "world4rl-store-2"
TASKS_NOT_HASHED = "world4rl-store-1"  # the content hash leaves the tasks out; read as it is, not written any more
INDEX = "index.json"


class StoreError(RuntimeError):
    """A store that cannot be opened or written; the message says what to do."""


class DuplicateError(StoreError):
    """An episode whose id the store holds already; nothing was written."""


def read_index(path: Path) -> tuple[TaskContract, list[EpisodeInfo], str]:
    """Contract, episodes and format of the store in the folder `path`. Raises StoreError."""
    return _parsed(_load(path))


def index_is_whole(path: Path) -> bool:
    """Whether the labels in the index are those that were written; true of older stores, whose index cannot tell."""
    index = _load(path)
    return index.get("content_hash") in (None, content_hash(*_parsed(index)))


def _load(path: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((path / INDEX).read_text())
    except FileNotFoundError:
        raise StoreError(
            f"{path} holds no store ({INDEX} is missing); make one with `world4rl dataset build` or `world4rl collect`,"
            " or bring one in with `world4rl dataset import-lerobot`"
        ) from None
    except ValueError as error:
        raise StoreError(f"{path / INDEX} is damaged ({error}); build the store again from its bags") from error
    if index.get("format") not in (FORMAT, TASKS_NOT_HASHED):
        raise StoreError(f"{path} has format {index.get('format')!r}, this version reads {FORMAT!r}; build it again")
    return index


def _parsed(index: dict[str, Any]) -> tuple[TaskContract, list[EpisodeInfo], str]:
    infos = [EpisodeInfo(**{**e, "outcome": Outcome(e["outcome"])}) for e in index["episodes"]]
    return TaskContract.from_dict(index["contract"]), infos, index["format"]


def write_index(path: Path, contract: TaskContract, infos: list[EpisodeInfo], arrays: Iterable[FileIO] = ()) -> None:
    """Replace the index at once, when the `arrays` that it speaks of are on the disk: readers see the old one or the
    new one, also after a power cut."""
    index = {
        "format": FORMAT,
        "contract": contract.to_dict(),
        "contract_hash": contract.hash,
        "content_hash": content_hash(contract, infos),
        "episodes": [asdict(i) for i in infos],
    }
    try:
        for file in arrays:
            os.fsync(file.fileno())
        replace_file(path / INDEX, json.dumps(index))
        sync_folder(path)
    except OSError as error:
        raise StoreError(
            f"{path / INDEX} cannot be written ({error.strerror or error}) and stays as it was. Make room and run the "
            "same again"
        ) from error


def content_hash(contract: TaskContract, infos: Sequence[EpisodeInfo], format: str = FORMAT) -> str:
    """16 hex digits over contract and every episode's data and labels, in order.

    A store of an older `format` keeps the hash that the checkpoints trained on it know it by.
    """
    lines = [f"{e.digest} {e.source} {int(e.outcome)} {e.success_index}" for e in infos]
    if format != TASKS_NOT_HASHED:
        lines = [f"{line} {json.dumps(e.task)}" for line, e in zip(lines, infos, strict=True)]
    return hashlib.sha256("\n".join([contract.hash, *lines]).encode()).hexdigest()[:16]

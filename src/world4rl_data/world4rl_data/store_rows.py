"""What a training store holds per observation (its rows) and per episode (its index entries)."""

from __future__ import annotations

from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np

from .contract import TaskContract
from .episode import Episode, Outcome

Layout = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]  # array name -> dtype and shape of one row


@dataclass(frozen=True)
class EpisodeInfo:
    """What the index knows of one episode. `length` is T (actions); its rows are start .. start + length inclusive."""

    episode_id: str
    start: int
    length: int
    task: str
    source: str
    outcome: Outcome
    success_index: int | None
    seed: int | None
    policy_id: str
    uri: str
    digest: str


def layout(contract: TaskContract) -> Layout:
    """Array name -> dtype and shape of one row."""
    rows: Layout = {f"images_{s.name}": (np.dtype(np.uint8), (s.height, s.width, 3)) for s in contract.images}
    rows["actions"] = (np.dtype("<f4"), (contract.action_dim,))
    rows["proprio"] = (np.dtype("<f4"), (contract.proprio_dim,))
    rows["stamps"] = (np.dtype("<i8"), ())
    rows["sources"] = (np.dtype(np.uint8), ())
    return rows


def row_bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    return int(dtype.itemsize * np.prod(shape, dtype=int))


def write_all(file: FileIO, block: bytes) -> None:
    """Write the whole block to an unbuffered file, which may take it in pieces. Raises OSError, as on a full disk."""
    left = memoryview(block)
    while left:
        left = left[file.write(left) :]


def arrays_of(episode: Episode) -> dict[str, np.ndarray]:
    """The episode's arrays with T + 1 rows each, by the names of the layout."""
    padding = np.zeros((1, episode.actions.shape[1]), np.float32)
    arrays = {f"images_{name}": frames for name, frames in episode.images.items()}
    arrays["actions"] = np.concatenate([episode.actions, padding])
    arrays["proprio"] = episode.proprio
    arrays["stamps"] = episode.stamps
    arrays["sources"] = np.concatenate([episode.action_sources, np.zeros(1, np.uint8)])
    return arrays


def info_of(episode: Episode, start: int, uri: str, digest: str) -> EpisodeInfo:
    return EpisodeInfo(
        episode_id=episode.episode_id,
        start=start,
        length=len(episode),
        task=episode.task,
        source=episode.source,
        outcome=Outcome(episode.outcome),
        success_index=episode.success_index,
        seed=episode.seed,
        policy_id=episode.policy_id,
        uri=uri,
        digest=digest,
    )

"""The training store: episodes as flat memory-mapped arrays with a small index, so that a batch is a slice.

Row r of every array belongs to one observation. Episode i owns rows start .. start + T; row start + t holds frame t
and the action that leads to frame t + 1 (the last row's action is zero padding, so that one index serves all arrays).
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import IO

import numpy as np

from .contract import TaskContract
from .episode import Episode, Outcome
from .store_index import FORMAT, INDEX, DuplicateError, StoreError, content_hash, read_index, write_index
from .store_rows import EpisodeInfo, arrays_of, info_of, layout, row_bytes, write_all

__all__ = ["DuplicateError", "EpisodeInfo", "EpisodeStore", "StoreError"]

_FLUSH_S = 1.0  # the index is rewritten at most this often while appending,
_FLUSH_SHARE = 20  # and at most for a twentieth of the time: that of 100 000 episodes takes seconds


class EpisodeStore:
    """Append-only folder of episodes that share one task contract. One writer at a time, any number of readers."""

    def __init__(self, path: Path, contract: TaskContract, infos: list[EpisodeInfo], format: str = FORMAT) -> None:
        """Use `create` or `open`."""
        self.path = path
        self.contract = contract
        self.infos = infos
        self._format = format
        self._ids = {i.episode_id for i in infos}
        self._rows = sum(i.length + 1 for i in infos)
        self._layout = layout(contract)
        self._files: dict[str, FileIO] = {}
        self._maps: dict[str, np.ndarray] = {}
        self._lock: IO[bytes] | None = None
        self._flush_at = 0.0
        self._dirty = False

    @classmethod
    def create(cls, path: str | Path, contract: TaskContract) -> EpisodeStore:
        """New, empty store in a folder that does not hold one yet."""
        path = Path(path)
        if (path / INDEX).exists():
            raise StoreError(f"{path} already holds a store; open it, or choose another folder")
        path.mkdir(parents=True, exist_ok=True)
        store = cls(path, contract, [])
        write_index(path, contract, [])
        return store

    @classmethod
    def open(cls, path: str | Path) -> EpisodeStore:
        """Existing store, for reading; the first `append` also takes it for writing."""
        path = Path(path)
        store = cls(path, *read_index(path))
        for name, (dtype, shape) in store._layout.items():
            needed = store._rows * row_bytes(dtype, shape)
            found = (path / f"{name}.bin").stat().st_size if (path / f"{name}.bin").exists() else 0
            if found < needed:
                raise StoreError(
                    f"{path / name}.bin has {found} bytes, the index needs {needed}; build the store again"
                )
        return store

    # -- writing -------------------------------------------------------------------------------------------------

    def append(self, episode: Episode, uri: str = "") -> None:
        """Validate and add one episode that came from `uri`; the index follows soon (_FLUSH_S), or at close.

        Raises:
            EpisodeError: it is unfit. DuplicateError: its id is taken. Nothing is written then.
            StoreError: the store cannot be written, or another process writes it.
        """
        episode.validate(self.contract)
        if episode.episode_id in self._ids:
            raise DuplicateError(
                f"episode {episode.episode_id} is already in {self.path}; give each episode its own id"
            )
        self._open_for_writing()
        digest = hashlib.sha256()
        try:
            for name, rows in arrays_of(episode).items():
                block = rows.astype(self._layout[name][0], copy=False).tobytes()
                digest.update(name.encode() + block)
                write_all(self._files[name], block)
        except BaseException as error:
            self._drop_tail()
            if not isinstance(error, OSError):
                raise
            raise StoreError(
                f"{self.path} cannot take episode {episode.episode_id} ({error.strerror or error}); all before it are "
                "there. Make room and run the same again"
            ) from error
        self.infos.append(info_of(episode, self._rows, uri, digest.hexdigest()))
        self._ids.add(episode.episode_id)
        self._rows += len(episode) + 1
        self._format = FORMAT  # of the index that will tell of it
        self._dirty = True
        if time.monotonic() >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Bring the data to the disk, then the index. Cheap when nothing is new."""
        if not self._dirty:
            return
        begin = time.monotonic()
        write_index(self.path, self.contract, self.infos, self._files.values())
        end = time.monotonic()
        self._flush_at = end + max(_FLUSH_S, _FLUSH_SHARE * (end - begin))
        self._dirty = False

    def close(self) -> None:
        """Flush and give up the write lock. Reading goes on working."""
        try:
            self.flush()
        finally:
            for file in self._files.values():
                file.close()
            self._files = {}
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def __enter__(self) -> EpisodeStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.infos)

    @property
    def rows(self) -> int:
        """Number of observations in all episodes together."""
        return self._rows

    @property
    def bytes(self) -> int:
        """Size of all arrays together."""
        return self._rows * sum(self.row_bytes(name) for name in self._layout)

    def row_bytes(self, name: str) -> int:
        """Bytes of one row of an array."""
        return row_bytes(*self._layout[name])

    def array(self, name: str) -> np.ndarray:
        """Read-only map of one flat array over all rows: images_<stream>, actions, proprio, stamps or sources."""
        held = self._maps.get(name)
        if held is None or len(held) < self._rows:
            self.flush()
            dtype, shape = self._layout[name]
            if self._rows == 0 or 0 in shape:  # nothing to map: no episode, or a contract without proprioception
                return np.zeros((self._rows, *shape), dtype)
            held = np.memmap(self.path / f"{name}.bin", dtype, mode="r", shape=(self._rows, *shape))
            self._maps[name] = held
        return held

    def rows_of(self, i: int) -> slice:
        """Rows of one episode in every flat array: T + 1 of them."""
        info = self.infos[i]
        return slice(info.start, info.start + info.length + 1)

    def images(self, i: int, stream: str) -> np.ndarray:
        """uint8 (T+1, H, W, 3) of one stream, without a copy."""
        return self.array(f"images_{stream}")[self.rows_of(i)]

    def frames(self, i: int, steps: slice = slice(None)) -> np.ndarray:
        """uint8 (T+1, C, H, W), or those of some `steps`: all streams stacked on the channels, C = 3 * streams.

        Only the steps asked for are read from the disk.
        """
        streams = [self.images(i, s.name)[steps].transpose(0, 3, 1, 2) for s in self.contract.images]
        if len({s.shape for s in streams}) != 1:
            raise StoreError(f"streams of contract '{self.contract.name}' differ in size and cannot be stacked")
        return np.concatenate(streams, axis=1)

    def actions(self, i: int) -> np.ndarray:
        """float32 (T, A) in [-1, 1]."""
        return self.array("actions")[self.rows_of(i)][:-1]

    def proprio(self, i: int) -> np.ndarray:
        """float32 (T+1, P)."""
        return self.array("proprio")[self.rows_of(i)]

    def episode(self, i: int) -> Episode:
        """One episode, copied into memory."""
        info = self.infos[i]
        rows = self.rows_of(i)
        return Episode(
            images={s.name: np.array(self.images(i, s.name)) for s in self.contract.images},
            proprio=np.array(self.proprio(i)),
            actions=np.array(self.actions(i)),
            action_sources=np.array(self.array("sources")[rows][:-1]),
            stamps=np.array(self.array("stamps")[rows]),
            task=info.task,
            source=info.source,
            outcome=info.outcome,
            success_index=info.success_index,
            contract_hash=self.contract.hash,
            episode_id=info.episode_id,
            seed=info.seed,
            policy_id=info.policy_id,
        )

    def select(
        self,
        source: str | Iterable[str] | None = None,
        outcome: Outcome | Iterable[Outcome] | None = None,
        ids: Iterable[str] | None = None,
        task: str | None = None,
    ) -> list[int]:
        """Indices of the episodes that meet every condition given."""
        sources = {source} if isinstance(source, str) else None if source is None else set(source)
        outcomes = {outcome} if isinstance(outcome, int) else None if outcome is None else set(outcome)
        wanted = None if ids is None else set(ids)
        return [
            i
            for i, e in enumerate(self.infos)
            if (sources is None or e.source in sources)
            and (outcomes is None or e.outcome in outcomes)
            and (wanted is None or e.episode_id in wanted)
            and (task is None or e.task == task)
        ]

    @property
    def content_hash(self) -> str:
        """16 hex digits over contract and every episode's data and labels, in order."""
        return content_hash(self.contract, self.infos, self._format)

    # -- inner ---------------------------------------------------------------------------------------------------

    def _open_for_writing(self) -> None:
        if self._lock is not None:
            return
        lock = (self.path / ".lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StoreError(f"{self.path} is being written by another process; wait for it to end") from None
        if len(read_index(self.path)[1]) != len(self.infos):
            lock.close()
            raise StoreError(f"{self.path} has grown since it was opened; open it again before appending")
        self._lock = lock
        for name in self._layout:
            self._files[name] = (self.path / f"{name}.bin").open("ab", buffering=0)
        self._drop_tail()

    def _drop_tail(self) -> None:
        """Cut off what a crash or a full disk left behind the last whole episode."""
        for name, file in self._files.items():
            file.truncate(self._rows * self.row_bytes(name))

"""Holds a training store against its checksums: every episode's SHA-256, and the index's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from uuid import uuid4

from .store import EpisodeStore
from .store_index import INDEX, index_is_whole
from .store_rows import layout
from .workers import ordered, with_progress

BLOCK = 1 << 22  # bytes read at once


@dataclass(frozen=True)
class Verification:
    """`damaged`: (episode id, what is wrong)."""

    episodes: int
    bytes: int
    damaged: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.episodes} episodes, {self.bytes / 1e6:.1f} MB checked: {len(self.damaged)} damaged"]
        return "\n".join(lines + [f"  {name}: {fault}" for name, fault in self.damaged])


def verify_store(path: str | Path, workers: int | None = 1, progress: bool = True) -> Verification:
    """Read every byte of the store once. Raises StoreError where it cannot be opened at all."""
    store = EpisodeStore.open(path)
    damaged = [] if index_is_whole(store.path) else [(INDEX, "its labels are not those that were written")]
    rows = range(len(store))
    checked = ordered(partial(_digest, store.path, uuid4().hex), rows, workers)
    for row, digest in with_progress(checked, len(rows), "episodes", "episode", progress):
        info = store.infos[row]
        if isinstance(digest, Exception):
            raise digest
        if digest != info.digest:
            again = f"; remove it from the store, or build again from {info.uri}" if info.uri else ""
            damaged.append((info.episode_id, f"its bytes are not those that were written{again}"))
    return Verification(len(store), store.bytes, damaged)


@lru_cache(maxsize=1)
def _opened(path: Path, run: str) -> EpisodeStore:
    """The store, opened once per process and verification: it may have grown before the next."""
    return EpisodeStore.open(path)


def _digest(path: Path, run: str, row: int) -> str:
    """SHA-256 of one episode's bytes, as `EpisodeStore.append` made it; read in blocks, not mapped, to bound memory."""
    store = _opened(path, run)
    info, digest = store.infos[row], hashlib.sha256()
    for name in layout(store.contract):
        digest.update(name.encode())
        size = store.row_bytes(name)
        with (store.path / f"{name}.bin").open("rb", buffering=0) as file:
            file.seek(info.start * size)
            left = (info.length + 1) * size
            while left:
                block = file.read(min(BLOCK, left))
                if not block:
                    break
                digest.update(block)
                left -= len(block)
    return digest.hexdigest()

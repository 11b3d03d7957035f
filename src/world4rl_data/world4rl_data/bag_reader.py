"""Reads episode bags without ROS, decoding messages by the definitions that the bag carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from .contract import TaskContract
from .episode_record import BagError, EpisodeRecord


class EpisodeBag:
    """One bag directory, open for reading; use as a context manager. Raises BagError for unfit bags."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise BagError(f"{self.path} is not a directory; give the directory of one episode's bag")
        if self.path.suffix == ".partial":
            raise BagError(
                f"{self.path} was never closed: the recorder was killed or is still recording. "
                "Leave it out, or delete it once the recorder has ended."
            )
        self.record = EpisodeRecord.load(self.path)
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except (ReaderError, AssertionError, IndexError, OSError) as error:
            raise BagError(
                f"{self.path} is truncated or damaged ({error}); copy it again from where it was recorded, "
                "or delete the episode"
            ) from error
        self._types = _typestore(tuple(sorted({(c.msgtype, c.msgdef.data) for c in self._reader.connections})))

    @property
    def contract(self) -> TaskContract:
        """The task contract under which the episode was recorded."""
        return TaskContract.from_dict(self.record.contract)

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """topic -> (type, number of messages)."""
        return {c.topic: (c.msgtype, c.msgcount) for c in self._reader.connections}

    def messages(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        """(topic, receive time [ns], decoded message) of the topics, in order of receive time."""
        wanted = set(topics)
        connections = [c for c in self._reader.connections if c.topic in wanted]
        if not connections:
            return
        try:
            for connection, log_ns, data in self._reader.messages(connections):
                yield connection.topic, log_ns, self._types.deserialize_cdr(data, connection.msgtype)
        except (ReaderError, ValueError, EOFError) as error:
            raise BagError(f"{self.path} cannot be read to its end ({error}); delete the episode") from error

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> EpisodeBag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_bags(root: str | Path) -> list[Path]:
    """Closed bag directories at or below `root`, in the order of their names; `.partial` ones are not listed."""
    root = Path(root)
    if not root.is_dir():
        raise BagError(f"{root} is not a directory; give the folder that holds the recorded bags")
    folders = {p.parent for p in root.rglob("metadata.yaml")}
    return sorted(f for f in folders if not any(part.endswith(".partial") for part in f.parts))


def find_partial(root: str | Path) -> list[Path]:
    """Directories that a recorder has not closed."""
    return sorted(p for p in Path(root).rglob("*.partial") if p.is_dir())


@lru_cache(maxsize=8)
def _typestore(definitions: tuple[tuple[str, str], ...]) -> Typestore:
    """Decoder for a set of (type, definition). Parsing takes longer than reading a small bag, hence the cache."""
    store = get_typestore(Stores.EMPTY)
    found = {}
    for msgtype, text in definitions:
        found.update(get_types_from_msg(text, msgtype))
    store.register(found)
    return store

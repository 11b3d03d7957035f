"""Reads episode bags without ROS, decoding messages by the definitions that the bag carries."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Message
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from zstandard import ZstdError

from .contract import TaskContract
from .disk_space import set_aside
from .episode_record import BagError, EpisodeRecord

# What damaged bytes make the readers raise (ValueError: a chunk's checksum).
DAMAGE = (McapError, ZstdError, struct.error, ValueError, KeyError, IndexError, EOFError, OSError)


class EpisodeBag:
    """One bag directory, open for reading; use as a context manager. Raises BagError for unfit bags.

    Read with mcap itself: rosbags' reader spends a tenth of a second per bag on its YAML.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise BagError(f"{self.path} is not a directory; give the directory of one episode's bag")
        if self.path.suffix == ".partial":
            raise BagError(
                f"{self.path} was never closed: the recorder was killed or is still recording. "
                f"Once that recorder has ended, `world4rl dataset recover {self.path}` closes it."
            )
        self.record = EpisodeRecord.load(self.path)
        files = sorted(self.path.glob("*.mcap"))
        if len(files) != 1:
            raise BagError(f"{self.path} holds {len(files)} .mcap files, expected one; copy it again from its source")
        self._file = files[0].open("rb")
        try:
            self._reader = SeekingReader(self._file, validate_crcs=True)
            summary = self._reader.get_summary()
            if summary is None or summary.statistics is None:
                raise McapError("it has no summary")
        except DAMAGE as error:
            self._file.close()
            raise BagError(
                f"{self.path} is truncated or damaged ({error or type(error).__name__}); copy it again from where it "
                "was recorded, or save what can be saved with `world4rl dataset recover`"
            ) from error
        counts = summary.statistics.channel_message_counts
        channels = summary.channels.values()
        self.topics: dict[str, tuple[str, int]] = {  # topic -> (type, number of messages)
            c.topic: (summary.schemas[c.schema_id].name, counts.get(c.id, 0)) for c in channels
        }
        schemas = {(s.name, s.data.decode()) for s in summary.schemas.values()}
        self._types = _typestore(tuple(sorted(schemas)))

    @property
    def contract(self) -> TaskContract:
        """The task contract under which the episode was recorded."""
        return TaskContract.from_dict(self.record.contract)

    def messages(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        """(topic, receive time [ns], decoded message) of the topics, in order of receive time."""
        for topic, log_ns, _, message in self.sent_messages(topics):
            yield topic, log_ns, message

    def sent_messages(self, topics: Iterable[str]) -> Iterator[tuple[str, int, int, Any]]:
        """As `messages`, with the time at which each was sent [ns] in the third place; 0 where that is not known."""
        wanted = set(topics) & set(self.topics)
        if not wanted:
            return
        for topic, kind, message in self._records(wanted):
            try:
                decoded = self._types.deserialize_cdr(message.data, kind)
            except (SerdeError, *DAMAGE) as error:
                raise BagError(
                    f"{self.path}: a message on {topic} does not fit its definition of {kind} ({error}), as of a "
                    "publisher that was built with another version of it; record again, or leave the episode out"
                ) from error
            sent_ns = message.publish_time if message.publish_time != message.log_time else 0
            yield topic, message.log_time, sent_ns, decoded

    def raw_messages(self, topics: Iterable[str] | None = None) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, type, receive time [ns], serialized message) of all topics or some, in order of receive time."""
        for topic, kind, message in self._records(topics):
            yield topic, kind, message.log_time, message.data

    def _records(self, topics: Iterable[str] | None) -> Iterator[tuple[str, str, Message]]:
        raw = self._reader.iter_messages(topics=topics)
        while True:
            try:
                schema, channel, message = next(raw)
            except StopIteration:
                return
            except DAMAGE as error:
                raise self._unreadable(error) from error
            assert schema is not None  # our writer gives every channel one
            yield channel.topic, schema.name, message

    def _unreadable(self, error: BaseException) -> BagError:
        return BagError(
            f"{self.path} cannot be read to its end ({error or type(error).__name__}); "
            "`world4rl dataset recover` saves what can be saved"
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EpisodeBag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_bags(root: str | Path) -> list[Path]:
    """Closed bag directories at or below `root`, in the order of their names; neither `.partial` ones nor the trash."""
    root = Path(root)
    if not root.is_dir():
        raise BagError(f"{root} is not a directory; give the folder that holds the recorded bags")
    folders = {p.parent for p in root.rglob("metadata.yaml") if not set_aside(p, root)}
    return sorted(f for f in folders if not any(part.endswith(".partial") for part in f.parts))


def find_partial(root: str | Path) -> list[Path]:
    """Directories at or below `root` that a recorder has not closed."""
    root = Path(root)
    found = [p for p in root.rglob("*.partial") if p.is_dir() and not set_aside(p, root)]
    return sorted([root] if root.suffix == ".partial" else found)


@lru_cache(maxsize=8)
def _typestore(definitions: tuple[tuple[str, str], ...]) -> Typestore:
    """Decoder for a set of (type, definition). Parsing takes longer than reading a small bag, hence the cache."""
    store = get_typestore(Stores.EMPTY)
    found = {}
    for msgtype, text in definitions:
        found.update(get_types_from_msg(text, msgtype))
    store.register(found)
    return store

"""Writes one episode as a rosbag2 directory: MCAP with zstd chunks, metadata version 8, episode.json.

Everything goes to `<name>.partial/`, which becomes `<name>/` at the end: a directory without the suffix is complete.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mcap.writer
import yaml
import zstandard
from mcap.writer import CompressionType, Writer

from .durable import rename_folder, replace_file, sync_folder
from .episode import Outcome
from .episode_record import EpisodeRecord

RECORD_METADATA = "world4rl_episode"  # MCAP metadata record with episode.json as it was at the start
_FOREVER = {"sec": 9223372036, "nsec": 854775807}


class _QuickZstd:
    """zstd at its level 1: mcap's writer offers no level, and its level 3 cannot keep up with two raw cameras."""

    @staticmethod
    def compress(data: bytes) -> bytes:
        return zstandard.compress(data, 1)


mcap.writer.zstandard = _QuickZstd  # type: ignore[assignment]


@dataclass(frozen=True)
class BagTopic:
    """One recorded topic. `definition` from `message_definition`; `type_hash` is the REP-2016 hash where known."""

    name: str
    type: str
    definition: str
    reliable: bool = True
    transient_local: bool = False
    depth: int = 1
    type_hash: str = ""
    offered_qos: str = ""  # as another bag had it; empty: made from the fields above

    @property
    def qos_yaml(self) -> str:
        """The publisher's QoS as rosbag2 writes it up to metadata version 8 (rmw's numbers, in a YAML string)."""
        if self.offered_qos:
            return self.offered_qos
        profile = {
            "history": 1,
            "depth": self.depth,
            "reliability": 1 if self.reliable else 2,
            "durability": 1 if self.transient_local else 2,
            "deadline": _FOREVER,
            "lifespan": _FOREVER,
            "liveliness": 1,
            "liveliness_lease_duration": _FOREVER,
            "avoid_ros_namespace_conventions": False,
        }
        return yaml.safe_dump([profile], sort_keys=False).strip()


@dataclass
class _Counts:
    first_ns: int = 0
    last_ns: int = 0
    messages: dict[str, int] = field(default_factory=dict)


class BagWriter:
    """Not thread-safe: one thread writes and closes."""

    def __init__(self, path: Path, flush_s: float = 1.0, record: EpisodeRecord | None = None) -> None:
        """`path`: the final directory, which must not exist. `flush_s`: how often `flush_if_due` flushes [s].

        `record` is kept in the unfinished bag as well, so that what a crash leaves says what it is. The file is locked
        as long as it is written: a lock that can be had is that of a recorder that died.
        """
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        if path.exists():
            raise FileExistsError(f"{path} exists; choose another episode name")
        self.partial.mkdir(parents=True)
        self._file_name = f"{path.name}_0.mcap"
        self._file = (self.partial / self._file_name).open("wb")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._writer = Writer(self._file, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2")
        self._topics: dict[str, BagTopic] = {}
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._counts = _Counts()
        self._flush_s = flush_s
        self._record = record
        if record is not None:
            self._writer.add_metadata(RECORD_METADATA, {"json": json.dumps(record.to_dict())})
        self._flush()
        sync_folder(self.partial)
        sync_folder(path.parent)

    def add_topic(self, topic: BagTopic) -> None:
        """Declare a topic before its first message; a second time does nothing."""
        if topic.name in self._channels:
            return
        if topic.type not in self._schemas:
            self._schemas[topic.type] = self._writer.register_schema(topic.type, "ros2msg", topic.definition.encode())
        self._topics[topic.name] = topic
        self._counts.messages[topic.name] = 0
        self._channels[topic.name] = self._writer.register_channel(
            topic.name,
            "cdr",
            self._schemas[topic.type],
            {"offered_qos_profiles": topic.qos_yaml, "topic_type_hash": topic.type_hash},
        )

    def write(self, topic: str, log_ns: int, data: bytes, publish_ns: int = 0) -> None:
        """One serialized (CDR) message, received at `log_ns` and sent at `publish_ns` (0: as received)."""
        self._writer.add_message(self._channels[topic], log_ns, data, publish_ns or log_ns)
        counts = self._counts
        counts.first_ns = min(counts.first_ns, log_ns) if counts.last_ns else log_ns
        counts.last_ns = max(counts.last_ns, log_ns)
        counts.messages[topic] += 1

    def flush_if_due(self) -> None:
        """Bring what is buffered to the disk when `flush_s` has passed."""
        if time.monotonic() - self._flushed_at >= self._flush_s:
            self._flush()

    def _flush(self) -> None:
        self._writer.flush()
        os.fdatasync(self._file.fileno())
        if self._record is not None:
            self._save_unfinished(self._record)
        self._flushed_at = time.monotonic()

    def _save_unfinished(self, record: EpisodeRecord, holes: bool = False) -> None:
        """With what was written so far, so that a later loss can be told, and with the label once the episode has one:
        a recorder killed while it closes the bag must not cost it. One with holes is no success or failure."""
        record.messages = dict(self._counts.messages)
        if holes or not record.ended:
            record = replace(record, outcome=Outcome.INTERRUPTED, stop_ns=self._counts.last_ns)
        record.save(self.partial)

    def abandon(self, record: EpisodeRecord) -> None:
        """Leave the bag as a killed recorder leaves it: to be recovered.

        For one whose write failed: mcap's writer has then lost a chunk whose messages it goes on to count and index.
        """
        with suppress(OSError):  # where not even this fits, the record of the last flush stays
            self._save_unfinished(record, holes=True)
        with suppress(OSError):
            self._file.close()

    def close(self, record: EpisodeRecord) -> Path:
        """Finish the file, write metadata.yaml and episode.json, rename: each on the disk before the next.

        Returns the final directory. All messages and the label are on the disk first, before what makes it a bag.
        Where that fails, such as on a full disk, the bag is left as a killed recorder leaves it: to be recovered.
        """
        try:
            self._record = record
            self._flush()
            information = self._metadata(record)
            self._writer.add_metadata("rosbag2", {"serialized_metadata": yaml.safe_dump(information, sort_keys=False)})
            self._writer.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            document = {"rosbag2_bagfile_information": information}
            replace_file(self.partial / "metadata.yaml", yaml.safe_dump(document, sort_keys=False))
            record.messages = dict(self._counts.messages)
            record.save(self.partial)
            rename_folder(self.partial, self.path)
        finally:
            self._file.close()  # only now, because it gives up the lock
        return self.path

    def _metadata(self, record: EpisodeRecord) -> dict[str, Any]:
        counts = self._counts
        total = sum(counts.messages.values())
        start = {"nanoseconds_since_epoch": counts.first_ns}
        duration = {"nanoseconds": counts.last_ns - counts.first_ns}
        return {
            "version": 8,
            "storage_identifier": "mcap",
            "duration": duration,
            "starting_time": start,
            "message_count": total,
            "topics_with_message_count": [self._topic_metadata(t) for t in self._topics.values()],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [self._file_name],
            "files": [{"path": self._file_name, "starting_time": start, "duration": duration, "message_count": total}],
            "custom_data": {"task": record.task, "outcome": record.outcome.name, "contract_hash": record.contract_hash},
            "ros_distro": os.environ.get("ROS_DISTRO", "unknown"),
        }

    def _topic_metadata(self, topic: BagTopic) -> dict[str, Any]:
        return {
            "topic_metadata": {
                "name": topic.name,
                "type": topic.type,
                "serialization_format": "cdr",
                "offered_qos_profiles": topic.qos_yaml,
                "type_description_hash": topic.type_hash,
            },
            "message_count": self._counts.messages[topic.name],
        }

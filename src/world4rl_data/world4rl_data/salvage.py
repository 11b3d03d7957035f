"""Reads what is left of an MCAP file that was cut or damaged: every complete chunk up to the first unreadable place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mcap.records import Channel, Chunk, Footer, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from .bag_reader import DAMAGE
from .bag_writer import RECORD_METADATA, BagTopic
from .episode_record import BagError, EpisodeRecord

# A damaged length field may ask for more than there is: MemoryError, OverflowError.
_UNREADABLE = (*DAMAGE, MemoryError, OverflowError)
_RECORD_LIMIT = 1 << 30  # [bytes] larger records are damage


@dataclass
class Salvage:
    """What reading came across; complete once `messages` has been read to its end."""

    path: Path
    record: EpisodeRecord | None = None  # as the recorder wrote it at the start
    whole: bool = False  # read to the file's end
    broken_chunks: int = 0
    broken_ns: int = 0  # time that the broken chunks say they span [ns]
    read_bytes: int = 0
    fault: str = ""
    topics: dict[int, BagTopic] = field(default_factory=dict)

    def messages(self, on_bytes: Callable[[int], None] = lambda _: None) -> Iterator[tuple[BagTopic, Message]]:
        """Every message of the complete chunks, in file order; `on_bytes` is told how far the file has been read.

        Raises BagError only where the file cannot be opened.
        """
        schemas: dict[int, Schema] = {}
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise BagError(f"{self.path} cannot be opened ({error})") from error
        with file:
            size = self.path.stat().st_size
            limit = max(1, min(size, _RECORD_LIMIT))
            records = StreamReader(file, emit_chunks=True, record_size_limit=limit).records
            while (record := self._next(records)) is not None:
                self.read_bytes = file.tell()
                on_bytes(self.read_bytes)
                for inner in self._opened(record):
                    if isinstance(inner, Schema):
                        schemas[inner.id] = inner
                    elif isinstance(inner, Channel):
                        self._add_topic(inner, schemas)
                    elif isinstance(inner, Message) and inner.channel_id in self.topics:
                        yield self.topics[inner.channel_id], inner

    def _next(self, records: Iterator[McapRecord]) -> McapRecord | None:
        try:
            record = next(records, None)
        except _UNREADABLE as error:
            self.fault = str(error) or type(error).__name__
            return None
        if isinstance(record, Footer):
            self.whole = True
        return record

    def _opened(self, record: McapRecord) -> list[McapRecord]:
        if isinstance(record, Metadata) and record.name == RECORD_METADATA:
            self.record = self._read_record(record)
        if not isinstance(record, Chunk):
            return [record]
        try:
            return breakup_chunk(record, validate_crc=True)
        except _UNREADABLE as error:
            self.broken_chunks += 1
            self.broken_ns += max(0, record.message_end_time - record.message_start_time)
            self.fault = str(error) or type(error).__name__
            return []

    def _read_record(self, record: Metadata) -> EpisodeRecord | None:
        try:
            return EpisodeRecord.from_text(record.metadata.get("json", ""), str(self.path))
        except BagError as error:
            self.fault = str(error)
            return None

    def _add_topic(self, channel: Channel, schemas: dict[int, Schema]) -> None:
        schema = schemas.get(channel.schema_id)
        if schema is None:  # stood in a broken chunk: without a type its messages cannot be kept
            self.fault = f"the type of {channel.topic} is lost"
            return
        self.topics[channel.id] = BagTopic(
            channel.topic,
            schema.name,
            schema.data.decode(errors="replace"),
            type_hash=channel.metadata.get("topic_type_hash", ""),
            offered_qos=channel.metadata.get("offered_qos_profiles", ""),
        )

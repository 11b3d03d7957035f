"""Recording one episode at a time, without ROS: a bounded queue in front of a thread that writes the bag."""

from __future__ import annotations

import queue
import re
import shutil
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .bag_writer import BagTopic, BagWriter
from .contract import TaskContract
from .episode import Outcome
from .episode_record import EpisodeRecord

_DISK_CHECK_S = 1.0


class RecorderError(RuntimeError):
    """A request that cannot be met now; the message says why and what to do."""


@dataclass(frozen=True)
class RecorderConfig:
    """Where and how to record."""

    bags_dir: Path
    min_free_mb: float = 500.0  # no episode is started, and a running one is ended, below this free space
    max_queue_mb: float = 256.0  # messages waiting for the disk; beyond it they are dropped and counted
    flush_s: float = 1.0  # at most this much is lost in a crash


@dataclass(frozen=True)
class RecorderStatus:
    """A snapshot for the status topic."""

    episode_id: str = ""
    task: str = ""
    recording: bool = False
    outcome: Outcome = Outcome.UNLABELLED
    messages: int = 0
    dropped: int = 0
    seconds: float = 0.0
    message: str = ""


class EpisodeRecorder:
    """`start`, `push` and `stop` from one thread; a second thread, alive during an episode, writes."""

    def __init__(self, contract: TaskContract, config: RecorderConfig) -> None:
        self.contract = contract
        self.config = config
        self._record: EpisodeRecord | None = None
        self._writer: BagWriter | None = None
        self._thread: threading.Thread | None = None
        self._queue: queue.SimpleQueue[tuple[BagTopic, int, bytes] | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._lock = threading.Lock()  # guards _queued_bytes
        self._received = 0
        self._dropped: Counter[str] = Counter()
        self._started_at = 0.0
        self._trouble = ""
        self._last = RecorderStatus()

    @property
    def recording(self) -> bool:
        return self._record is not None

    @property
    def trouble(self) -> str:
        """Why the running episode should be stopped as interrupted (disk full, write error); empty when all is well."""
        return self._trouble

    @property
    def uri(self) -> Path:
        """Where the running episode's bag will be."""
        if self._writer is None:
            raise RecorderError("no episode is being recorded; call start_episode first")
        return self._writer.path

    def start(self, task: str, now_ns: int, operator_id: str = "", note: str = "") -> EpisodeRecord:
        """Begin an episode. `task` may be empty (the contract's name). Raises RecorderError."""
        if self._record is not None:
            raise RecorderError(f"episode {self._record.episode_id} is being recorded; stop or discard it first")
        self._require_space()
        task = task or self.contract.name
        word = re.sub(r"[^A-Za-z0-9-]+", "_", task).strip("_") or "episode"
        episode_id = f"{word}_{datetime.now():%Y%m%d_%H%M%S}_{uuid.uuid4().hex[:6]}"
        record = EpisodeRecord(
            episode_id=episode_id,
            task=task,
            contract_hash=self.contract.hash,
            contract=self.contract.to_dict(),
            start_ns=now_ns,
            operator_id=operator_id,
            note=note,
        )
        try:
            self._writer = BagWriter(self.config.bags_dir / episode_id, self.config.flush_s)
        except OSError as error:
            raise RecorderError(f"cannot write to {self.config.bags_dir} ({error}); set bags_dir elsewhere") from error
        self._queue = queue.SimpleQueue()
        self._queued_bytes = self._received = 0
        self._dropped = Counter()
        self._trouble = ""
        self._started_at = time.monotonic()
        self._record = record
        self._thread = threading.Thread(target=self._write_all, args=(self._writer,), name="bag writer", daemon=True)
        self._thread.start()
        return record

    def push(self, topic: BagTopic, log_ns: int, data: bytes) -> None:
        """Hand over one serialized message; never blocks. Ignored when nothing is recorded."""
        if self._record is None:
            return
        with self._lock:
            fits = self._queued_bytes + len(data) <= self.config.max_queue_mb * 1e6
            if fits and not self._trouble:
                self._queued_bytes += len(data)
        if not fits or self._trouble:
            self._dropped[topic.name] += 1
            return
        self._received += 1
        self._queue.put((topic, log_ns, data))

    def stop(self, outcome: Outcome, now_ns: int, note: str = "") -> Path:
        """End the episode and close its bag; returns its directory. `now_ns`: when the end was asked for."""
        if self._record is None or self._writer is None or self._thread is None:
            raise RecorderError("no episode is being recorded; call start_episode first")
        self._queue.put(None)
        self._thread.join()
        record, writer = self._record, self._writer
        record.outcome, record.stop_ns, record.stop_note = outcome, now_ns, note
        record.success_stamp_ns = record.reported_success_ns(now_ns) if outcome == Outcome.SUCCESS else None
        record.dropped = dict(self._dropped)
        lost = sum(self._dropped.values())
        warning = self._trouble or (f"{lost} messages dropped: the disk is too slow" if lost else "")
        self._last = self._snapshot(recording=False, outcome=outcome, message=warning)
        self._record = self._writer = self._thread = None
        try:
            return writer.close(record)
        except OSError as error:
            raise RecorderError(
                f"could not close the bag; what was written is in {writer.partial} ({error})"
            ) from error

    def status(self) -> RecorderStatus:
        """The running episode, or the last one."""
        return self._last if self._record is None else self._snapshot(True, Outcome.UNLABELLED, self._trouble)

    def _snapshot(self, recording: bool, outcome: Outcome, message: str) -> RecorderStatus:
        record = self._record
        assert record is not None
        return RecorderStatus(
            episode_id=record.episode_id,
            task=record.task,
            recording=recording,
            outcome=outcome,
            messages=self._received,
            dropped=sum(self._dropped.values()),
            seconds=time.monotonic() - self._started_at,
            message=message,
        )

    def _require_space(self) -> None:
        try:
            self.config.bags_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecorderError(f"cannot create {self.config.bags_dir} ({error}); set bags_dir elsewhere") from error
        low = self._low_space()
        if low:
            raise RecorderError(low)

    def _low_space(self) -> str:
        free = shutil.disk_usage(self.config.bags_dir).free / 1e6
        if free >= self.config.min_free_mb:
            return ""
        return (
            f"only {free:.0f} MB free in {self.config.bags_dir}, min_free_mb is {self.config.min_free_mb:.0f}; "
            "free some space or set bags_dir elsewhere"
        )

    def _write_all(self, writer: BagWriter) -> None:
        """The writer thread: drains the queue until the None that `stop` puts."""
        checked_at = time.monotonic()
        done = False
        while not done:
            try:
                done = self._write_next(writer)
                writer.flush_if_due()
                if time.monotonic() - checked_at > _DISK_CHECK_S:
                    checked_at = time.monotonic()
                    self._trouble = self._trouble or self._low_space()
            except Exception as error:  # whatever it is, the thread must live until `stop`, which tells of it
                self._trouble = f"writing {writer.partial} failed: {error!r}"

    def _write_next(self, writer: BagWriter) -> bool:
        """Write the next message, if one comes before the next flush. True at the end of the episode."""
        try:
            item = self._queue.get(timeout=self.config.flush_s)
        except queue.Empty:
            return False
        if item is None:
            return True
        topic, log_ns, data = item
        with self._lock:
            self._queued_bytes -= len(data)
        writer.add_topic(topic)
        writer.write(topic.name, log_ns, data)
        return False


def subscription_qos(publishers: list[tuple[bool, bool]]) -> tuple[bool, bool]:
    """(reliable, transient local) that receives from all publishers, each given as (reliable, transient local).

    A reliable subscription gets nothing from a best-effort publisher, silently; so ask only for what all of them offer.
    """
    return all(r for r, _ in publishers), bool(publishers) and all(t for _, t in publishers)

"""Recording one episode at a time, without ROS: when an episode may start, what it is called, how it ended."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from .bag_writer import BagTopic, BagWriter
from .contract import TaskContract
from .disk_space import low_space
from .episode import Outcome
from .episode_queue import Received
from .episode_record import EpisodeRecord
from .episode_writer import EpisodeWriter


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
    """`start` and `stop` from one thread, `push` from any; each episode has a thread of its own that writes."""

    def __init__(self, contract: TaskContract, config: RecorderConfig) -> None:
        self.contract = contract
        self.config = config
        self._running: EpisodeWriter | None = None
        self._ended: list[EpisodeWriter] = []
        self._last = RecorderStatus()
        self._last_dropped: dict[str, int] = {}

    @property
    def recording(self) -> bool:
        return self._running is not None

    @property
    def closing(self) -> dict[Future[Path], Outcome]:
        """How the episodes ended whose bags are still being closed; the keys are for `result_of`."""
        return {episode.closed: episode.record.outcome for episode in self._ended if not episode.closed.done()}

    @property
    def trouble(self) -> str:
        """Why the running episode should be stopped as interrupted (disk full, write error); empty when all is well."""
        return self._running.trouble if self._running else ""

    @property
    def dropped(self) -> dict[str, int]:
        """Topic -> messages that the running or last episode lost."""
        return self._running.dropped if self._running else dict(self._last_dropped)

    @property
    def uri(self) -> Path:
        """Where the running episode's bag will be."""
        return self._require_running().bag.path

    def start(self, task: str, now_ns: int, operator_id: str = "", note: str = "") -> EpisodeRecord:
        """Begin an episode. `task` may be empty (the contract's name). Raises RecorderError."""
        if self._running is not None:
            running = self._running.record.episode_id
            raise RecorderError(f"episode {running} is being recorded; stop or discard it first")
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
        config = self.config
        try:
            bag = BagWriter(config.bags_dir / episode_id, config.flush_s, record)
        except OSError as error:
            raise RecorderError(f"cannot write to {config.bags_dir} ({error}); set bags_dir elsewhere") from error
        self._running = EpisodeWriter(record, bag, config.max_queue_mb * 1e6, config.min_free_mb, config.flush_s)
        return record

    def push(self, topic: BagTopic, log_ns: int, data: bytes, publish_ns: int = 0) -> None:
        """Hand over one serialized message received at `log_ns` and sent at `publish_ns` [ns] (0: not known).

        Never waits. Ignored when nothing is recorded.
        """
        running = self._running
        if running is not None:
            running.push(Received(topic, log_ns, data, publish_ns or log_ns))

    def lost(self, topic: str, count: int) -> None:
        """Count messages that never came here. Ignored when nothing is recorded."""
        running = self._running
        if running is not None:
            running.lost(topic, count)

    def stop(self, outcome: Outcome, now_ns: int, note: str = "") -> Path:
        """End the episode and close its bag; returns its folder. `now_ns`: when the end was asked for.

        Raises RecorderError, also where the bag could not be closed.
        """
        return result_of(self.begin_stop(outcome, now_ns, note))

    def begin_stop(self, outcome: Outcome, now_ns: int, note: str = "") -> Future[Path]:
        """As `stop`, without waiting for the disk: the result is for `result_of`. A new episode may start at once."""
        running = self._require_running()
        record = running.record
        record.outcome, record.stop_note = outcome, note
        record.success_stamp_ns = record.reported_success_ns(now_ns) if outcome == Outcome.SUCCESS else None
        record.stop_ns = now_ns  # last: from here on the thread that writes keeps the label
        closed = running.finish()
        self._last_dropped = running.dropped
        lost = sum(self._last_dropped.values())
        warning = running.trouble or (f"{lost} messages dropped: the disk or this machine is too slow" if lost else "")
        self._last = replace(self._snapshot(running), recording=False, outcome=outcome, message=warning)
        self._running = None
        self._ended = [*(episode for episode in self._ended if not episode.closed.done()), running]
        closed.add_done_callback(self._note_failure(running))
        return closed

    def ended_as(self, outcome: Outcome) -> Path | None:
        """The closed bag of the last episode, where that ended with this outcome and nothing is recorded now."""
        if self._running is not None or not self._ended:
            return None
        last = self._ended[-1]
        closed = last.closed.done() and last.closed.exception() is None
        return last.closed.result() if closed and last.record.outcome == outcome else None

    def status(self) -> RecorderStatus:
        """The running episode, or the last one."""
        return self._snapshot(self._running) if self._running else self._last

    def _snapshot(self, running: EpisodeWriter) -> RecorderStatus:
        return RecorderStatus(
            episode_id=running.record.episode_id,
            task=running.record.task,
            recording=True,
            messages=running.queue.received,
            dropped=sum(running.dropped.values()),
            seconds=time.monotonic() - running.started_at,
            message=running.trouble,
        )

    def _note_failure(self, running: EpisodeWriter) -> Callable[[Future[Path]], None]:
        def note(closed: Future[Path]) -> None:
            trouble = str(closed.exception() or "") or running.trouble
            if trouble and self._last.episode_id == running.record.episode_id:
                self._last_dropped = running.dropped
                self._last = replace(self._last, message=trouble, dropped=sum(self._last_dropped.values()))

        return note

    def _require_running(self) -> EpisodeWriter:
        if self._running is None:
            raise RecorderError("no episode is being recorded; call start_episode first")
        return self._running

    def _require_space(self) -> None:
        try:
            self.config.bags_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecorderError(f"cannot create {self.config.bags_dir} ({error}); set bags_dir elsewhere") from error
        low = low_space(self.config.bags_dir, self.config.min_free_mb)
        if low:
            raise RecorderError(low)


def result_of(closed: Future[Path]) -> Path:
    """The folder of a closed bag, waiting for it. Raises RecorderError where it could not be closed."""
    try:
        return closed.result()
    except OSError as error:
        raise RecorderError(
            f"could not close the bag ({error}); make room, then `world4rl dataset recover` saves what was written"
        ) from error

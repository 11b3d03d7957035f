"""The thread that writes one episode: it drains the queue to the bag, watches the disk and closes the bag."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from .bag_writer import BagWriter
from .disk_space import low_space, move_to_trash
from .episode import Outcome
from .episode_queue import EpisodeQueue, Received
from .episode_record import EpisodeRecord

DISK_CHECK_S = 1.0


class EpisodeWriter:
    """Lives from an episode's start until its bag is closed; `push` and `lost` from any thread."""

    def __init__(
        self, record: EpisodeRecord, bag: BagWriter, max_queue_bytes: float, min_free_mb: float, flush_s: float
    ) -> None:
        self.record = record
        self.bag = bag
        self.queue = EpisodeQueue(max_queue_bytes)
        self.trouble = ""  # why the episode should be ended (disk full, write error)
        self.closed: Future[Path] = Future()  # the bag's folder, or the OSError that kept it from being closed
        self.started_at = time.monotonic()
        self._broken = False  # a write failed: nothing more may follow in the bag
        self._lost: Counter[str] = Counter()
        self._lock = threading.Lock()  # of `_lost`
        self._min_free_mb = min_free_mb
        self._flush_s = flush_s
        self._thread = threading.Thread(target=self._run, name="bag writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> dict[str, int]:
        """Topic -> messages lost in the queue, on the way to it and on the way from it to the bag."""
        return dict(Counter(dict(self.queue.dropped)) + Counter(dict(self._lost)))  # copies: other threads count on

    def push(self, item: Received) -> None:
        """Hand over one message; never waits. After a write error messages are only counted."""
        if self.trouble:
            self.lost(item.topic.name, 1)
        else:
            self.queue.put(item)

    def lost(self, topic: str, count: int) -> None:
        """Count messages that do not come into the bag, such as those that the middleware lost."""
        with self._lock:
            self._lost[topic] += count

    def finish(self) -> Future[Path]:
        """Write what is queued and close the bag under `record`; discarded ones go to the trash."""
        self.queue.close()
        return self.closed

    def _run(self) -> None:
        checked_at = time.monotonic()
        done = False
        while not done:
            try:
                done = self._write_next()
                if self._broken:
                    continue
                self.record.dropped = self.dropped  # stays in the unfinished bag, should this process be killed
                self.bag.flush_if_due()
                if time.monotonic() - checked_at > DISK_CHECK_S:
                    checked_at = time.monotonic()
                    self.trouble = self.trouble or low_space(self.bag.path.parent, self._min_free_mb)
            except Exception as error:  # whatever it is, the thread must live until the end, which tells of it
                self.trouble = f"writing {self.bag.partial} failed: {error!r}"
                self._broken = True
        self._set(self._close)

    def _write_next(self) -> bool:
        """Write the next message, if one comes before the next flush; count it as lost where that is not possible.

        True at the end of the episode.
        """
        try:
            item = self.queue.get(self._flush_s)
        except queue.Empty:
            return False
        if item is None:
            return True
        if self._broken:
            self.lost(item.topic.name, 1)
            return False
        try:
            self.bag.add_topic(item.topic)
            self.bag.write(item.topic.name, item.log_ns, item.data, item.publish_ns)
        except Exception:
            self.lost(item.topic.name, 1)
            raise
        return False

    def _close(self) -> Path:
        self.record.dropped = self.dropped  # only now: also what was lost while the queue was written
        if self._broken:
            self.bag.abandon(self.record)
            raise OSError(self.trouble)
        path = self.bag.close(self.record)
        return move_to_trash(path) if self.record.outcome == Outcome.DISCARDED else path

    def _set(self, close: Callable[[], Path]) -> None:
        try:
            self.closed.set_result(close())
        except Exception as error:  # told to whoever waits for the bag
            self.closed.set_exception(error)

"""Rebuilds bags whose recorder was killed, or whose file was cut, into closed bags; the originals go to the trash."""

from __future__ import annotations

import fcntl
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .bag_reader import EpisodeBag, find_bags, find_partial
from .bag_writer import BagWriter
from .contract import TaskContract
from .disk_space import move_to_trash
from .durable import rename_folder
from .episode import Outcome
from .episode_record import BagError, EpisodeRecord
from .salvage import Salvage

WORKSHOP = ".recovering"


class BeingRecorded(BagError):
    """A recorder is writing to the bag."""


@dataclass(frozen=True)
class Recovered:
    """What came of one bag."""

    path: Path  # the closed bag
    original: Path | None  # where the damaged one is kept now; None where there is none
    messages: int
    seconds: float
    lost_messages: int | None  # None: nothing says how many there were
    lost_seconds: float | None
    fault: str = ""

    def __str__(self) -> str:
        lost = "an unknown number of" if self.lost_messages is None else str(self.lost_messages)
        seconds = "unknown" if self.lost_seconds is None else f"{self.lost_seconds:.2f} s"
        text = f"saved {self.messages} messages ({self.seconds:.2f} s), lost {lost} messages ({seconds})"
        return text + (f"; reading ended with: {self.fault}" if self.fault else "")


def find_damaged(path: str | Path) -> list[Path]:
    """Folders at or below `path` that need recovery: never closed, or closed and cut off.

    A single bag is read to its end; below a folder each bag is only opened, which shows a cut but not every damage.
    """
    path = Path(path)
    if path.suffix == ".partial":
        return [path]
    if next(path.glob("*.mcap"), None) is not None:
        return [] if _sound(path) else [path]
    return sorted([*find_partial(path), *(bag for bag in find_bags(path) if not _sound(bag, to_end=False))])


def recover_bag(
    path: str | Path, contract: TaskContract | None = None, on_bytes: Callable[[int], None] = lambda _: None
) -> Recovered:
    """Write what is readable of a bag into a closed one of its name; the damaged one is kept in `.trash/`.

    `contract` serves where the bag has lost its own; `on_bytes` is told how much of the file has been read.
    Raises BagError: still being recorded, nothing to save, or it does not say what it is.
    """
    path = Path(path).absolute()
    final = path.with_suffix("") if path.suffix == ".partial" else path
    file = _file_of(path)
    with _nobody_writes(file):
        if path != final and final.exists():
            return _left_over(path, final)
        salvage = Salvage(file)
        record = _record_of(path, salvage, contract)
        workshop = path.parent / WORKSHOP
        shutil.rmtree(workshop / f"{final.name}.partial", ignore_errors=True)  # of a recovery that was cut off
        shutil.rmtree(workshop / final.name, ignore_errors=True)
        rebuilt, report = _rebuild(salvage, record, workshop / final.name, on_bytes)
        # From here on either the original or the complete copy stands at its place, whenever this is cut off.
        original = move_to_trash(path)
        rename_folder(rebuilt, final)
        if not any(workshop.iterdir()):
            workshop.rmdir()
    return replace(report, path=final, original=original)


def _rebuild(
    salvage: Salvage, record: EpisodeRecord, target: Path, on_bytes: Callable[[int], None]
) -> tuple[Path, Recovered]:
    counted, promised = Counter(record.messages), sum(record.messages.values())
    writer = BagWriter(target)
    saved: Counter[str] = Counter()
    first = last = record.start_ns
    for topic, message in salvage.messages(on_bytes):
        writer.add_topic(topic)
        writer.write(topic.name, message.log_time, message.data, message.publish_time)
        first = min(first, message.log_time) if saved else message.log_time
        last = max(last, message.log_time)
        saved[topic.name] += 1
    complete = salvage.whole and not salvage.broken_chunks
    lost = sum((counted - saved).values()) if promised or complete else None
    end = max(record.stop_ns, last)
    lost_s = (end - last + salvage.broken_ns) / 1e9 if promised or complete else None
    fault = "" if complete else salvage.fault
    report = Recovered(target, None, sum(saved.values()), (last - first) / 1e9, lost, lost_s, fault)
    if salvage.broken_chunks:  # amid the episode, and not only behind its end
        record = replace(record, dropped=dict(Counter(record.dropped) + (counted - saved)))
    record = replace(record, stop_ns=record.stop_ns or last, recovered=str(report))
    return writer.close(record), report


def _record_of(path: Path, salvage: Salvage, contract: TaskContract | None) -> EpisodeRecord:
    """The episode's record: from its file, else from the start of the bag, else made from a given contract."""
    try:
        return EpisodeRecord.load(path)
    except BagError:
        for _ in salvage.messages():
            break  # the record stands before the first message
        if salvage.record is not None:
            return replace(salvage.record, outcome=Outcome.INTERRUPTED)
    if contract is None:
        raise BagError(
            f"{path} has lost its task contract: give the one it was recorded under (--contract), or delete the folder"
        )
    name = path.name.removesuffix(".partial")
    return EpisodeRecord(name, contract.name, contract.hash, contract.to_dict(), Outcome.INTERRUPTED)


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        raise BagError(f"{path} is not a directory; give the directory of one episode's bag")
    files = sorted(path.glob("*.mcap"))
    if len(files) != 1:
        raise BagError(f"{path} holds {len(files)} .mcap files, expected one; there is nothing to recover here")
    return files[0]


def being_recorded(path: Path) -> bool:
    """Whether a recorder is writing to this folder now."""
    try:
        with _nobody_writes(_file_of(path)):
            return False
    except BeingRecorded:
        return True
    except BagError:
        return False


@contextmanager
def _nobody_writes(file: Path) -> Iterator[None]:
    """Hold the lock that a recorder holds while it writes. Raises BeingRecorded where one does."""
    with file.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BeingRecorded(f"{file.parent} is being recorded now; stop that episode first") from error
        yield


def _left_over(partial: Path, final: Path) -> Recovered:
    """A recovery or a recorder ended between two steps: both folders are there. Keep the closed one if it is sound."""
    if not _sound(final):
        raise BagError(f"both {partial} and {final} are there and {final.name} is damaged; move one of them elsewhere")
    with EpisodeBag(final) as bag:
        count = sum(n for _, n in bag.topics.values())
        seconds = max(0, bag.record.stop_ns - bag.record.start_ns) / 1e9
    return Recovered(final, move_to_trash(partial), count, seconds, 0, 0.0)


def _sound(path: Path, to_end: bool = True) -> bool:
    """Whether a closed bag opens, and can be read to its end."""
    try:
        with EpisodeBag(path) as bag:
            for _ in bag.raw_messages() if to_end else ():
                pass
    except BagError:
        return False
    return True

"""Work on many items in several processes, with results in the items' order and only a few of them in memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from .end_with_parent import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2  # items per process that are under way or waiting to be taken: bounds the memory
TRIAL_S, WORTH_S = 1.0, 5.0  # seconds of work done before judging, and left to do, for processes to be worth a start


class WorkerError(RuntimeError):
    """A process died at its work; the message says what to do."""


def ordered(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None = 1
) -> Iterator[tuple[Item, Result | Exception]]:
    """Yield (item, result) in the order of the items; the result is the exception that the function raised, if it did.

    At most AHEAD items per process are ahead of the one yielded. `function` and items must be picklable (a module's
    function, or a partial of one), and the main module of the program guarded by `if __name__ == "__main__"`.
    workers=1 works in this process. None begins here and goes on in as many processes as this process has cores, once
    the work turns out to be long: starting them takes seconds, and most stores are small.
    """
    left = deque(items)
    if workers is None:
        workers = len(os.sched_getaffinity(0))
        yield from _trial(function, left, workers)
    if workers <= 1:
        yield from _here(function, left)
    elif left:
        yield from _in_processes(function, left, workers)


def _here(function: Callable[[Item], Result], left: deque[Item]) -> Iterator[tuple[Item, Result | Exception]]:
    while left:
        item = left.popleft()
        yield item, _caught(function, item)


def _trial(
    function: Callable[[Item], Result], left: deque[Item], workers: int
) -> Iterator[tuple[Item, Result | Exception]]:
    """Work in this process until more of them are worth their start, or to the end."""
    spent, done = 0.0, 0
    while left and not (workers > 1 and spent >= TRIAL_S and spent / done * len(left) >= WORTH_S):
        item, begin = left.popleft(), time.monotonic()
        result = _caught(function, item)
        spent, done = spent + time.monotonic() - begin, done + 1
        yield item, result


def _in_processes(
    function: Callable[[Item], Result], left: deque[Item], workers: int
) -> Iterator[tuple[Item, Result | Exception]]:
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks and the parent's open videos
    with ProcessPoolExecutor(min(workers, len(left)), mp_context=context, initializer=_prepare) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        try:
            while left or waiting:
                while left and len(waiting) < AHEAD * workers:
                    item = left.popleft()
                    waiting.append((item, pool.submit(function, item)))
                item, future = waiting.popleft()
                result = _result(future)
                yield item, result
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process died, perhaps for want of memory: run again with fewer --workers; --workers 1 works "
                "in one process and shows its own fault"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def with_progress(items: Iterable[Item], total: int, what: str, unit: str, show: bool = True) -> Iterable[Item]:
    """A progress bar with rate and remaining time; the items alone where not wanted."""
    if not show:
        return items
    from tqdm import tqdm

    return tqdm(items, total=total, desc=what, unit=unit)


def _caught(function: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        return function(item)
    except Exception as error:
        return error


def _result(future: Future[Result]) -> Result | Exception:
    """As `_caught`; an error keeps the other process's traceback as its cause."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except Exception as error:
        return error


def _prepare() -> None:
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its pool
    cv2.setNumThreads(1)  # one process per core already
    end_with_parent()

"""Independent jobs side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any

from world4rl_data.end_with_parent import end_with_parent


class JobError(RuntimeError):
    """A job ended with an error; its traceback is above in the output."""


def in_parallel(work: Callable[..., None], jobs: Sequence[tuple[Any, ...]]) -> None:
    """Run `work(*job)` for all jobs at once; an interrupt, a failure or the end of this process ends them all.

    On few cores two trainings of one thread each are faster than one after the other with two threads.

    Raises:
        JobError: a job failed.
    """
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_do, args=(work, job), daemon=False) for job in jobs]
    for process in processes:
        process.start()
    try:
        running: dict[Any, Any] = {process.sentinel: process for process in processes}
        while running:
            for sentinel in wait(list(running)):  # whichever ends first
                process = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise JobError(f"a parallel job ended with exit code {process.exitcode}: see its traceback above")
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()


def _do(work: Callable[..., None], job: tuple[Any, ...]) -> None:
    end_with_parent()
    work(*job)

"""Independent jobs side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from world4rl_data.end_with_parent import end_with_parent


class JobError(RuntimeError):
    """A job ended with an error. Its cause has the traceback of the job's process, unless that was killed."""


class _JobTraceback(Exception):
    """The text of a traceback in another process, to be read where that of this process is."""

    def __str__(self) -> str:
        return "\n" + "".join(self.args)


def in_parallel(work: Callable[..., None], jobs: Sequence[tuple[Any, ...]]) -> None:
    """Run `work(*job)` for all jobs at once; an interrupt, a failure or the end of this process ends them all.

    On few cores two trainings of one thread each are faster than one after the other with two threads.

    Raises:
        JobError: a job failed.
    """
    context = multiprocessing.get_context("spawn")
    running: dict[Any, Any] = {}
    try:
        for job in jobs:
            told, tell = context.Pipe(duplex=False)
            process = context.Process(target=_do, args=(tell, work, job), daemon=False)
            process.start()
            running[told] = process
            tell.close()  # the job's process alone has it now: what it tells ends when it does
        while running:
            for ended in wait(list(running)):  # whichever does so first
                process, failure = running[ended], _failure(ended)
                process.join()
                del running[ended]
                if process.exitcode:
                    _fail(process.exitcode, failure)
    finally:
        for process in running.values():
            if process.is_alive():
                process.terminate()
                process.join()


def _do(tell: Connection, work: Callable[..., None], job: tuple[Any, ...]) -> None:
    """A job in its own process."""
    end_with_parent()
    try:
        work(*job)
    except Exception as error:
        tell.send((f"{type(error).__name__}: {error}", traceback.format_exc()))
        raise


def _failure(told: Any) -> tuple[str, str] | None:
    """The sentence and the traceback of a job that failed, once it is over; None where it told nothing."""
    try:
        return told.recv()
    except (EOFError, OSError):  # it has ended, OSError: amid its telling
        return None


def _fail(exit_code: int, failure: tuple[str, str] | None) -> None:
    if failure is not None:
        sentence, text = failure
        raise JobError(f"a parallel job failed: {sentence}") from _JobTraceback(text)
    if exit_code < 0:
        raise JobError(f"a parallel job was ended by signal {-exit_code} ({signal.strsignal(-exit_code)})")
    raise JobError(f"a parallel job ended with exit code {exit_code}")

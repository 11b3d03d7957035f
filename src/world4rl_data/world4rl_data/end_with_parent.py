"""A child process ends with its parent, even with one that is killed and can clean nothing up."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading


def end_with_parent() -> None:
    """Have this process, a child by `multiprocessing`, end as soon as its parent has, were it by SIGKILL.

    Otherwise a pool's processes wait for ever for work, and a training goes on beside the one that takes its place.
    What the process is writing ends as if it had been killed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "only called in a process that another one has started"
    threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)

"""A thread that does its work each time it is woken, and never queues any up."""

from __future__ import annotations

import threading
from collections.abc import Callable


class WokenThread:
    """Calls `work` in a thread of its own after each `wake`; wakes that come during the work lead to one more call.

    `on_error` gets what `work` raises, in that thread, which goes on.
    """

    def __init__(self, name: str, work: Callable[[], None], on_error: Callable[[Exception], None]) -> None:
        self._work, self._on_error = work, on_error
        self._woken = threading.Event()
        self._closed = False
        self._working = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether it works, or is about to."""
        return self._working or self._woken.is_set()

    def wake(self) -> None:
        """There is work."""
        self._woken.set()

    def close(self, timeout_s: float = 5.0) -> bool:
        """End the thread after the work under way; False where that goes on after `timeout_s`."""
        self._closed = True
        self._woken.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._working = True
            self._woken.clear()
            if self._closed:
                return
            try:
                self._work()
            except Exception as error:
                self._on_error(error)
            finally:
                self._working = False

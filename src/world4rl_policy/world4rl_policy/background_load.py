"""Loading something beside what goes on: one load at a time, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundLoad(Generic[T]):
    """Whoever asks while it is `busy` has to ask again."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, load: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        """Call `load`, and in the loading thread `done` with what it gave or raised.

        Raises:
            RuntimeError: the last load is still under way.
        """
        if self.busy:
            raise RuntimeError("another checkpoint is being loaded: ask again when it has been")

        def work() -> None:
            try:
                result: T | Exception = load()
            except Exception as error:  # a damaged folder can make a loader raise anything; `done` tells it
                result = error
            done(result)

        self._thread = threading.Thread(target=work, name="loading", daemon=True)
        self._thread.start()

"""One node as an operating-system process, its output line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

_TAIL_LINES = 20


class NodeProcess:
    """A started process in a session of its own, so that Ctrl-C in the terminal reaches the runner alone.

    ``on_line(name, line)`` is called from a reader thread for each line of stdout and stderr.
    """

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], on_line: Callable[[str, str], None]
    ) -> None:
        self.name = name
        self.command = list(command)
        self._on_line = on_line
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = subprocess.Popen(
            self.command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"log-{name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for raw in stream:
                line = raw.decode("utf-8", errors="replace").rstrip("\n")
                self._tail.append(line)
                self._on_line(self.name, line)

    @property
    def pid(self) -> int:
        """Process id; also the id of the process group."""
        return self._process.pid

    @property
    def tail(self) -> str:
        """The last lines that the process wrote."""
        return "\n".join(list(self._tail))

    def exit_code(self) -> int | None:
        """None while the process runs; minus the signal's number where a signal ended it."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and everything that it started; nothing where it has ended."""
        if self.exit_code() is None:
            os.killpg(self.pid, number)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the end, at most ``timeout_s``; the exit code, or None where it still runs."""
        try:
            return self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def drain(self, timeout_s: float = 2.0) -> None:
        """Wait until the last line of an ended process has been read."""
        self._reader.join(timeout_s)


def describe_exit(code: int) -> str:
    """An exit code in words: ``exit code 3`` or ``signal SIGSEGV``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"

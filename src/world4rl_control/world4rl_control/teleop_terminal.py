"""Single keys from a terminal, without Enter and without echo. No ROS in here."""

from __future__ import annotations

import atexit
import os
import re
import select
import sys
import termios
import tty

# Arrow and function keys come as several characters that must not count as typed ones.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)


class Terminal:
    """The terminal on a file descriptor, by default standard input. Ctrl-C keeps its meaning.

    Raises ValueError when it is no terminal. `close` gives it back as it was; so does the end of the program.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._fd = sys.stdin.fileno() if descriptor is None else descriptor
        if not os.isatty(self._fd):
            raise ValueError(
                "no terminal on standard input (ros2 launch gives none): start the keyboard in a terminal of its own, "
                "ros2 run world4rl_control teleop --ros-args -r __ns:=/world4rl -p device:=keyboard -p contract:=..."
            )
        self._before: list | None = termios.tcgetattr(self._fd)
        atexit.register(self.close)
        tty.setcbreak(self._fd)

    def read(self) -> str:
        """What was typed since the last call; returns at once. Raises EOFError when the terminal is gone."""
        typed = b""
        while select.select([self._fd], [], [], 0.0)[0]:
            try:
                chunk = os.read(self._fd, 1024)
            except OSError as error:
                raise EOFError("the terminal is gone") from error
            if not chunk:
                raise EOFError("the terminal is gone")
            typed += chunk
        return _SEQUENCE.sub("", typed.decode("utf-8", errors="ignore"))

    def close(self) -> None:
        """Give the terminal back as it was found; further calls do nothing."""
        before, self._before = self._before, None
        if before is None:
            return
        atexit.unregister(self.close)
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)
        except (termios.error, OSError):
            return  # the terminal is gone: there is nothing to give back

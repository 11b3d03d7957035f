"""Ends the nodes of a graph whose runner was killed, so that no second gate is left talking to the arm."""

from __future__ import annotations

import subprocess

# `kill -s INT --` is the only form that dash and bash both take for several groups.
# Reads one process group per line. The end of the pipe without "done" means that the runner is gone.
_SCRIPT = """
groups=""
while read -r line; do
  [ "$line" = done ] && exit 0
  groups="$groups -$line"
done
[ -z "$groups" ] && exit 0
kill -s INT -- $groups 2>/dev/null
sleep 5
kill -s KILL -- $groups 2>/dev/null
"""


class OrphanGuard:
    """A shell that waits on a pipe from this process and ends the watched process groups when the pipe breaks."""

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """End this process group too when the runner disappears."""
        self._say(str(group))

    def dismiss(self) -> None:
        """The nodes have ended in order: nothing is left to guard."""
        self._say("done")
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait(timeout=5)

    def _say(self, line: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{line}\n".encode())
        self._shell.stdin.flush()

"""Ends the nodes of a graph whose runner was killed, so that no second gate is left talking to the arm."""

from __future__ import annotations

import math
import subprocess

from world4rl_bringup.spec import ORPHAN_S

# `kill -s INT --` is the only form that dash and bash both take for a group.
# Reads a process group and its seconds per line. The end of the pipe without "done" means that the runner is gone.
# A group whose processes have all ended is left alone at once: its number may be another's a minute later.
_SCRIPT = """
end() {
  left=$2
  while [ "$left" -gt 0 ] && kill -s 0 -- "-$1" 2>/dev/null; do
    sleep 1
    left=$((left - 1))
  done
  [ "$left" -gt 0 ] || kill -s KILL -- "-$1" 2>/dev/null
}
pairs=""
while read -r group seconds; do
  [ "$group" = done ] && exit 0
  pairs="$pairs $group:$seconds"
done
for pair in $pairs; do kill -s INT -- "-${pair%:*}" 2>/dev/null; done
for pair in $pairs; do end "${pair%:*}" "${pair#*:}" & done
wait
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

    def watch(self, group: int, seconds: float = ORPHAN_S) -> None:
        """End this process group too when the runner disappears: SIGINT, and SIGKILL after whole `seconds`."""
        self._say(f"{group} {math.ceil(seconds)}")

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

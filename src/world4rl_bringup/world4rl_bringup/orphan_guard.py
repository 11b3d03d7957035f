"""Ends the nodes of a graph whose runner was killed, so that no second gate is left talking to the arm."""

from __future__ import annotations

import math
import os
import subprocess
import threading

from world4rl_bringup.spec import ORPHAN_S

# `kill -s INT --` is the only form that dash and bash both take for a group.
# Reads a process group and its seconds per line, or "gone" and a group that has ended. The end of the pipe without
# "done" means that the runner is gone.
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
  if [ "$group" = gone ]; then
    others=""
    for pair in $pairs; do [ "${pair%:*}" = "$seconds" ] || others="$others $pair"; done
    pairs=$others
  else
    pairs="$pairs $group:$seconds"
  fi
done
for pair in $pairs; do kill -s INT -- "-${pair%:*}" 2>/dev/null; done
for pair in $pairs; do end "${pair%:*}" "${pair#*:}" & done
wait
"""

_LOOK_S = 0.1  # how often it is looked which groups have ended: far too soon for their numbers to be given away again


class OrphanGuard:
    """A shell that waits on a pipe from this process and ends the watched process groups when the pipe breaks.

    A group whose processes have all ended is watched no longer. Where somebody ends the shell, another takes its place.
    """

    def __init__(self) -> None:
        self._watched: dict[int, int] = {}  # seconds by group
        self._shell = _shell()
        self._lock = threading.Lock()  # of both
        self._dismissed = threading.Event()
        self._looking = threading.Thread(target=self._look, name="orphan-guard", daemon=True)
        self._looking.start()

    @property
    def watched(self) -> frozenset[int]:
        """The process groups that would be ended now."""
        with self._lock:
            return frozenset(self._watched)

    @property
    def pid(self) -> int:
        """The shell's process."""
        with self._lock:
            return self._shell.pid

    def watch(self, group: int, seconds: float = ORPHAN_S) -> None:
        """End this process group too when the runner disappears: SIGINT, and SIGKILL after whole `seconds`."""
        with self._lock:
            self._watched[group] = math.ceil(seconds)
            self._say(f"{group} {self._watched[group]}")

    def dismiss(self) -> None:
        """The nodes have ended in order: nothing is left to guard."""
        self._dismissed.set()
        self._looking.join()
        with self._lock:
            self._watched.clear()
            self._say("done")
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait(timeout=5)

    def _look(self) -> None:
        """Thread: no longer watch what has ended, whose number may be another's one day; and see to the shell."""
        while not self._dismissed.wait(_LOOK_S):
            with self._lock:  # a node that gets the number of one that has just ended is watched after this, not before
                for group in [group for group in self._watched if not _exists(group)]:
                    del self._watched[group]
                    self._say(f"gone {group}")
                if self._shell.poll() is not None:
                    self._replace()

    def _say(self, line: str) -> None:
        assert self._shell.stdin is not None
        try:
            self._shell.stdin.write(f"{line}\n".encode())
        except BrokenPipeError:
            self._replace()

    def _replace(self) -> None:
        """Another shell for one that was ended; it is told all that is watched now."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()
        self._shell = _shell()
        for group, seconds in self._watched.items():
            self._say(f"{group} {seconds}")


def _shell() -> subprocess.Popen[bytes]:
    """Unbuffered, so that nothing is left to be written to one that has ended."""
    nowhere = subprocess.DEVNULL
    command = ["/bin/sh", "-c", _SCRIPT]
    return subprocess.Popen(
        command, bufsize=0, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True
    )


def _exists(group: int) -> bool:
    """Whether a process group has a process that may be signalled; one that has ended and was not waited for counts."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True

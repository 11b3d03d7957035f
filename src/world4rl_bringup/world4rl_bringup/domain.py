"""A ROS domain of one's own: demo and tests never meet another graph on the machine, nor the network."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_LOCK_FOLDER = Path(tempfile.gettempdir())
_DOMAINS = range(1, 102)  # above 101 the ports that DDS derives collide with Linux's ephemeral range


def _lock_file(domain: int) -> Path:
    return _LOCK_FOLDER / f"world4rl-ros-domain-{domain}.lock"


def _left_at(domain: int) -> float:
    """When a domain was last in use [s since the epoch]; 0 where it never was."""
    try:
        return _lock_file(domain).stat().st_mtime
    except OSError:
        return 0.0


def lock_domain() -> tuple[int, int]:
    """A domain id that no other process on this machine holds, and the open lock file that holds it.

    It is the one left longest ago: nodes that were killed stay in sight on theirs until DDS gives them up, after 20 s.
    Raises RuntimeError when all are taken.
    """
    for domain in sorted(_DOMAINS, key=_left_at):
        try:
            lock = os.open(_lock_file(domain), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # another user's lock file
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        os.utime(lock)
        return domain, lock
    raise RuntimeError(f"all ROS domains from 1 to 101 are locked: see {_LOCK_FOLDER}/world4rl-ros-domain-*.lock")


@contextmanager
def own_domain(env: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """A copy of `env` (default: this process's) for nodes that see only each other, on this machine."""
    domain, lock = lock_domain()
    own = dict(os.environ if env is None else env) | {"ROS_DOMAIN_ID": str(domain)}
    if own.get("ROS_DISTRO") == "humble":
        own["ROS_LOCALHOST_ONLY"] = "1"
    else:
        own.pop("ROS_LOCALHOST_ONLY", None)  # deprecated there, and it would win
        own["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    try:
        yield own
    finally:
        os.utime(lock)
        os.close(lock)

"""What services and parameters take for a folder: a path, or the same as a `file://` address."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

FILE = "file://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def path_of(address: str) -> Path:
    """The path that a path or a `file://` address names: `~` expanded, and of an address %20 and the like decoded.

    A relative one stays relative. Raises ValueError: an address of something else than a file, or a home of nobody.
    """
    if address.startswith(FILE):
        path = unquote(address.removeprefix(FILE))
    elif _SCHEME.match(address):
        raise ValueError(f"{address} is neither a path nor a {FILE} address: give the folder on this machine")
    else:
        path = address
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no such user
        raise ValueError(f"{address}: {error}") from error

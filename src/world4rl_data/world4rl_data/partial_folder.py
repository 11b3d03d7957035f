"""A result that is a folder appears whole or not at all: it grows beside its place and is renamed at the end."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCK = ".being-written"


class FolderError(RuntimeError):
    """A result folder that must not be written; the message says why."""


@contextmanager
def partial_folder(out: str | Path) -> Iterator[Path]:
    """A new folder `<out>.partial` to write into; renamed to `out` on success, removed after an exception.

    What a killed run left there is removed first. Raises FolderError where `out` holds anything already, is a mount
    point, or where another process is writing it at this moment.
    """
    out = Path(out).resolve()
    if out.is_mount():
        raise FolderError(f"{out} is a mount point, which cannot be put in place at the end; choose a folder below it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FolderError(f"{out} is there already and is not overwritten; choose another folder, or remove it")
    partial = out.with_name(out.name + SUFFIX)
    partial.mkdir(parents=True, exist_ok=True)
    with (partial / _LOCK).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderError(f"{partial} is being written by another process; wait for it to end") from None
        _empty(partial)
        try:
            yield partial
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in FULL:
                raise FolderError(
                    f"{out} does not fit ({error}); nothing is left of it. Make room and run again"
                ) from error
            raise
        (partial / _LOCK).unlink()
        if out.exists():
            out.rmdir()  # empty, see above
        os.replace(partial, out)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

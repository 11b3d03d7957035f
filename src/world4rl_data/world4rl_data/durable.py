"""Writing so that a power cut finds the old or the new, and never a name before what it stands for."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; what the files hold is synced by itself."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some shared file systems have no such thing for folders
            raise
    finally:
        os.close(handle)


def replace_file(path: Path, text: str) -> Path:
    """Write a file at once: its name stands for the old text or for the new one. Returns `path`.

    Raises OSError, such as on a full disk; then the old text stays. `sync_folder` makes sure of the new one.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return path


def rename_folder(source: Path, target: Path) -> Path:
    """Give a folder of synced files its final name."""
    sync_folder(source)
    os.replace(source, target)
    sync_folder(target.parent)
    return target

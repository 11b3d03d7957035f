"""How much room is left for bags, and where discarded ones go: aside, never away."""

from __future__ import annotations

import shutil
from pathlib import Path

TRASH = ".trash"


def low_space(folder: Path, min_free_mb: float) -> str:
    """Why nothing more should be written to the folder; empty while `min_free_mb` [MB] are free."""
    free = shutil.disk_usage(folder).free / 1e6
    if free >= min_free_mb:
        return ""
    return (
        f"only {free:.0f} MB free in {folder}, min_free_mb is {min_free_mb:.0f}; "
        "free some space or set bags_dir elsewhere"
    )


def move_to_trash(path: Path) -> Path:
    """Move a bag folder to `.trash/` beside it, under a free name; returns where it is now."""
    trash = path.parent / TRASH
    trash.mkdir(exist_ok=True)
    target, number = trash / path.name, 1
    while target.exists():
        number += 1
        target = trash / f"{path.name}.{number}"
    return path.rename(target)


def set_aside(path: Path, root: Path) -> bool:
    """Whether a path below `root` lies in a hidden folder (the trash, or where a bag is being rebuilt)."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)

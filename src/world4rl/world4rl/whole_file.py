"""Files that are whole or not there, whenever their writer is killed."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> Path:
    """Write `text` beside `path`, then put it in its place."""
    building = path.with_name(f".{path.name}.building")
    building.write_text(text, encoding="utf-8")
    return building.replace(path)

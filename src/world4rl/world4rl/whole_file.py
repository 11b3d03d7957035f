"""Files that are whole or not there, whenever their writer is killed."""

from __future__ import annotations

from pathlib import Path

from world4rl_data.durable import replace_file


def write_whole(path: Path, text: str) -> Path:
    """Write `text` beside `path`, then put it in its place; returns `path`."""
    replace_file(path, text)
    return path

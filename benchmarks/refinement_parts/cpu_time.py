"""How long the work in a folder has computed, over all its attempts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from world4rl_data.durable import replace_file

FILE = "cpu_time.json"


@contextmanager
def counted(folder: Path) -> Iterator[None]:
    """Add the CPU seconds of what is done meanwhile, in this process and in those that it starts, to the folder's."""
    before, began = cpu_seconds(folder) if (folder / FILE).is_file() else 0.0, _spent()
    _note(folder, None)  # all that is known of an attempt that is killed
    try:
        yield
    finally:
        _note(folder, None if before is None else before + _spent() - began)


def cpu_seconds(folder: Path) -> float | None:
    """Of all attempts, interrupted ones included; None where an attempt was killed or nobody counted."""
    path = folder / FILE
    seconds: float | None = json.loads(path.read_text())["cpu_s"] if path.is_file() else None
    return seconds


def _spent() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _note(folder: Path, seconds: float | None) -> None:
    replace_file(folder / FILE, json.dumps({"cpu_s": seconds if seconds is None else round(seconds, 1)}) + "\n")

"""Films inside a page, as data URIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

LARGEST_CLIP = 4_000_000  # bytes; a page stays something to mail


@dataclass(frozen=True)
class Clip:
    """A film as a data URI."""

    name: str
    uri: str


def read_clips(run: Path) -> tuple[list[Clip], list[str]]:
    """The films in a folder's `clips`, and the names of those that are too large for a page."""
    clips, left_out = [], []
    for path in sorted(run.glob("clips/*.mp4")):
        if path.name.startswith("."):
            continue
        if path.stat().st_size > LARGEST_CLIP:
            left_out.append(path.name)
            continue
        uri = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()
        clips.append(Clip(path.stem.replace("_", " ").replace("-", " "), uri))
    return clips, left_out

"""Where a player's dream is shown: a window, the terminal itself, a film. No ROS in here."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Protocol, TextIO

import cv2
import numpy as np

from world4rl.play.picture import play_picture, status
from world4rl.play.session import Moment
from world4rl.presentation.video import Mp4
from world4rl_wm.pictures import side_by_side
from world4rl_wm.uncertainty.kind import UncertaintyKind

_TITLE = "world4rl play"


class View(Protocol):
    """Shows the newest of the running dream's `moments`; `note` is what there is to say."""

    def show(self, moments: list[Moment], kind: UncertaintyKind, note: str) -> None: ...


class WindowView:
    """A window of OpenCV; typed keys arrive here while it has the focus."""

    def __init__(self) -> None:
        """Raises RuntimeError where there is no display, or an OpenCV without windows."""
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise RuntimeError("there is no display (DISPLAY is not set)")
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise RuntimeError(
                "this OpenCV has no windows: install opencv-python for opencv-python-headless"
            ) from error

    def keys(self) -> str:
        """Characters typed into the window since the last call; a closed window raises EOFError."""
        typed = ""
        while (code := cv2.pollKey()) != -1:
            typed += chr(code & 0xFF)
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            raise EOFError("the window was closed")
        return typed

    def show(self, moments: list[Moment], kind: UncertaintyKind, note: str) -> None:
        """See View."""
        cv2.imshow(_TITLE, play_picture(moments, kind, note)[..., ::-1])

    def close(self) -> None:
        """Take it away."""
        cv2.destroyWindow(_TITLE)


class TerminalView:
    """Frames as coloured half blocks, two pixels above each other in a character: for terminals far from a display."""

    def __init__(self, out: TextIO = sys.stdout, columns: int | None = None) -> None:
        self._out, self._lines = out, 0
        self._columns = columns or shutil.get_terminal_size().columns

    def show(self, moments: list[Moment], kind: UncertaintyKind, note: str) -> None:
        """See View."""
        picture = side_by_side(moments[-1].frame)
        share = min(1.0, (self._columns - 1) / picture.shape[1])
        size = max(1, int(picture.shape[1] * share)), 2 * max(1, int(picture.shape[0] * share / 2))
        lines = half_blocks(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        lines.append(status(moments[-1], kind, note)[: self._columns - 1])
        back = f"\x1b[{self._lines}A" if self._lines else ""
        self._out.write(back + "".join(f"\r{line}\x1b[K\n" for line in lines))
        self._out.flush()
        self._lines = len(lines)


def half_blocks(picture: np.ndarray) -> list[str]:
    """An RGB picture ``(2n, W, 3)`` as n lines of W characters with 24-bit colours."""
    lines = []
    for upper, lower in zip(picture[::2], picture[1::2], strict=True):
        cells = (f"\x1b[38;2;{a};{b};{c}m\x1b[48;2;{d};{e};{f}m▀" for (a, b, c), (d, e, f) in zip(upper, lower))
        lines.append("".join(cells) + "\x1b[0m")
    return lines


class LineView:
    """One line of text per step, for logs."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out

    def show(self, moments: list[Moment], kind: UncertaintyKind, note: str) -> None:
        """See View."""
        print(status(moments[-1], kind, note), file=self._out, flush=True)


class FilmView:
    """Everything that is shown, as an MP4."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._film = Mp4(path, rate_hz)

    def show(self, moments: list[Moment], kind: UncertaintyKind, note: str) -> None:
        """See View."""
        self._film.add(play_picture(moments, kind, note))

    def close(self) -> None:
        """Finish the film: it is in its place after this."""
        self._film.close()


def save_clip(moments: list[Moment], kind: UncertaintyKind, path: Path, rate_hz: float) -> Path:
    """The running dream from its start as an MP4."""
    with Mp4(path, rate_hz) as film:
        for number in range(1, len(moments) + 1):
            film.add(play_picture(moments[:number], kind))
    return path

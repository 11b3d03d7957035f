"""Pixels for people: frames enlarged, text, colours of errors. RGB pictures, uint8 ``(H, W, 3)``; needs no display."""

from __future__ import annotations

import cv2
import numpy as np

from world4rl_wm.pictures import side_by_side

Colour = tuple[int, int, int]
BACKGROUND: Colour = (24, 26, 31)
TEXT: Colour = (235, 235, 235)
FAINT: Colour = (132, 138, 150)
GRID: Colour = (54, 58, 66)
SAMPLES: tuple[Colour, ...] = ((90, 167, 230), (230, 154, 72), (61, 189, 145), (214, 110, 180), (226, 214, 92))
ERROR_RANGE = 0.3
"""The error that gets the brightest colour [0..1 of the pixel range]; larger ones get it too."""


def enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    """A frame ``(3n, H, W)`` as a picture ``(H s, n W s, 3)``, streams side by side, nearest-neighbour."""
    return side_by_side(frame).repeat(scale, axis=0).repeat(scale, axis=1)


def error_map(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where two frames uint8 ``(3n, H, W)`` differ, as a frame of the same shape: black none, bright `ERROR_RANGE`."""
    apart = np.abs(one.astype(np.float32) - other.astype(np.float32)).reshape(-1, 3, *one.shape[1:]).mean(1)
    return np.concatenate([heat(part / 255).transpose(2, 0, 1) for part in apart])


def heat(error: np.ndarray) -> np.ndarray:
    """Errors ``(H, W)`` in [0..1 of the pixel range] as colours ``(H, W, 3)``."""
    level = (np.clip(error / ERROR_RANGE, 0, 1) * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(coloured[..., ::-1])


def write(canvas: np.ndarray, text: str, x: float, y: float, unit: float = 1.0, colour: Colour = TEXT) -> None:
    """`text` with its baseline's left end at (x, y); capitals are about 9 `unit` pixels high."""
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(unit))
    cv2.putText(canvas, text, (round(x), round(y)), font, 0.42 * unit, colour, thickness, cv2.LINE_AA)


def text_width(text: str, unit: float = 1.0) -> int:
    """Pixels that `write` needs for it."""
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42 * unit, max(1, round(unit)))[0][0])


def even(picture: np.ndarray) -> np.ndarray:
    """The picture with a row or column of background where a side is odd: H.264 wants even sides."""
    height, width = picture.shape[:2]
    if height % 2 == width % 2 == 0:
        return picture
    canvas = np.full((height + height % 2, width + width % 2, 3), BACKGROUND, np.uint8)
    canvas[:height, :width] = picture
    return canvas

"""Small line plots as pictures, for films and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from world4rl.presentation.charts import number, ticks
from world4rl.presentation.drawing import BACKGROUND, FAINT, GRID, TEXT, Colour, text_width, write


@dataclass(frozen=True)
class Curve:
    """A line through `points`, or dots; points that are not finite are left out. No name: not in the legend."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: Colour
    thickness: float = 2.0
    dots: bool = False


def plot(
    width: int,
    height: int,
    title: str,
    curves: Sequence[Curve],
    x_max: float,
    y_max: float,
    unit: float = 1.0,
    x_label: str = "step",
) -> np.ndarray:
    """RGB picture ``(height, width, 3)`` of curves over [0, x_max] x [0, y_max], cut off at its edges.

    `unit` scales text and lines: 1 suits a film of about 800 pixels width.
    """
    canvas = np.full((height, width, 3), BACKGROUND, np.uint8)
    left, right, top, bottom = (round(side * unit) for side in (44, 10, 40, 26))
    x_max, y_max = max(x_max, 1e-9), max(y_max, 1e-9)
    across, down = width - left - right, height - top - bottom

    def place(x: float, y: float) -> tuple[int, int]:
        share = min(max(y / y_max, 0.0), 1.0)
        return round(left + min(max(x / x_max, 0.0), 1.0) * across), round(top + (1 - share) * down)

    write(canvas, title, 6 * unit, 14 * unit, unit)
    for value in ticks(0.0, y_max, 3):
        x, y = place(0.0, value)
        cv2.line(canvas, (left, y), (width - right, y), GRID, 1)
        text = number(value)
        write(canvas, text, x - text_width(text, 0.85 * unit) - 5 * unit, y + 4 * unit, 0.85 * unit, FAINT)
    for value in ticks(0.0, x_max, max(2, round(across / (70 * unit)))):
        text = number(value)
        x, _ = place(value, 0.0)
        write(canvas, text, x - text_width(text, 0.85 * unit) / 2, height - 12 * unit, 0.85 * unit, FAINT)
    write(canvas, x_label, width - right - text_width(x_label, 0.85 * unit), height - 1.5 * unit, 0.85 * unit, FAINT)
    at = 6 * unit
    for curve in curves:
        _draw(canvas, curve, place, unit)
        if curve.name:
            cv2.line(canvas, (round(at), round(26 * unit)), (round(at + 12 * unit), round(26 * unit)), curve.colour,
                     max(1, round(curve.thickness * unit)))  # fmt: skip
            write(canvas, curve.name, at + 16 * unit, 30 * unit, 0.85 * unit, TEXT)
            at += 26 * unit + text_width(curve.name, 0.85 * unit)
    return canvas


def _draw(canvas: np.ndarray, curve: Curve, place, unit: float) -> None:  # type: ignore[no-untyped-def]
    """Lines break where a point is not finite; the newest point is marked."""
    pieces: list[list[tuple[int, int]]] = [[]]
    for x, y in curve.points:
        if math.isfinite(y):
            pieces[-1].append(place(x, y))
        elif pieces[-1]:
            pieces.append([])
    if curve.dots:
        for point in (p for piece in pieces for p in piece):
            cv2.circle(canvas, point, max(1, round(curve.thickness * unit)), curve.colour, -1, cv2.LINE_AA)
        return
    for piece in pieces:
        thickness = max(1, round(curve.thickness * unit))
        cv2.polylines(
            canvas, [np.array(piece, np.int32).reshape(-1, 1, 2)], False, curve.colour, thickness, cv2.LINE_AA
        )
    last = next((piece[-1] for piece in reversed(pieces) if piece), None)
    if last is not None:
        cv2.circle(canvas, last, max(2, round((curve.thickness + 0.5) * unit)), curve.colour, -1, cv2.LINE_AA)

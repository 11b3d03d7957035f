"""Pictures of how good a reward model is: reliability curve and confusion matrix, and the frames it misjudges most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from world4rl_wm.model.frames import to_float
from world4rl_wm.pictures import side_by_side
from world4rl_wm.reward.data import LabelledFrames
from world4rl_wm.reward.model import RewardModel

Colour = tuple[int, int, int]
SIDE, EDGE = 240, 45  # of a panel and its margin, pixels
BLACK, GREY, BLUE, ORANGE = (30, 30, 30), (170, 170, 170), (40, 100, 200), (220, 140, 40)


def calibration_picture(found: dict[str, Any], title: str) -> np.ndarray:
    """What `measure` found as RGB ``(H, W, 3)``: reliability curve on the left, confusion matrix on the right."""
    canvas = np.full((SIDE + 2 * EDGE, 2 * SIDE + 3 * EDGE, 3), 255, np.uint8)
    _text(canvas, f"{title} frames: Brier {found['brier']:.3f}, J {found['j']:.2f}", (EDGE, 18), BLACK, 0.5)
    cv2.rectangle(canvas, _place(0, 0), _place(1, 1), GREY, 1)
    cv2.line(canvas, _place(0, 0), _place(1, 1), GREY, 1, cv2.LINE_AA)
    raw = found.get("uncalibrated")
    if raw is not None:
        _curve(canvas, raw["curve"], ORANGE)
        _text(canvas, f"uncalibrated, ECE {raw['ece']:.3f}", (EDGE + 6, EDGE + 34), ORANGE)
    _curve(canvas, found["curve"], BLUE)
    _text(canvas, f"{'calibrated, ' if raw else ''}ECE {found['ece']:.3f}", (EDGE + 6, EDGE + 16), BLUE)
    _text(canvas, "probability told", (EDGE + SIDE - 100, EDGE + SIDE + 30), BLACK)
    _text(canvas, "share of successes", (EDGE, EDGE - 8), BLACK)
    for value in (0.0, 0.5, 1.0):
        x, y = _place(value, 0)
        _text(canvas, f"{value:g}", (x - 8, y + 14), BLACK)
        _text(canvas, f"{value:g}", (8, _place(0, value)[1] + 4), BLACK)
    _confusion(canvas, found["confusion"])
    return canvas


@torch.no_grad()
def most_wrong(model: RewardModel, data: LabelledFrames, each: int = 8, batch: int = 512) -> np.ndarray:
    """RGB ``(H, W, 3)``: above, successes with the lowest probability; below, other frames with the highest."""
    parts = data.frames.split(batch)
    probability = torch.cat([model.probability(to_float(part.to(model.device))).cpu() for part in parts])
    rows = []
    for wrong, kind in ((probability, data.success), (1 - probability, ~data.success)):
        frames = data.frames[torch.where(kind, wrong, 2.0).argsort()[:each]]
        row = np.concatenate([side_by_side(frame) for frame in frames.numpy()], axis=1)
        rows.append(row.repeat(2, axis=0).repeat(2, axis=1))
    return np.concatenate(rows)


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Write an RGB picture.

    Raises:
        OSError: it cannot be written.
    """
    if not cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path} cannot be written")


def _place(x: float, y: float) -> tuple[int, int]:
    """Of a point in [0, 1] x [0, 1] of the left panel, in pixels."""
    return round(EDGE + x * SIDE), round(EDGE + (1 - y) * SIDE)


def _curve(canvas: np.ndarray, curve: list[dict[str, Any]], colour: Colour) -> None:
    points = [_place(point["probability"], point["success"]) for point in curve]
    cv2.polylines(canvas, [np.array(points, np.int32)], False, colour, 1, cv2.LINE_AA)
    for point in points:
        cv2.circle(canvas, point, 3, colour, -1, cv2.LINE_AA)


def _confusion(canvas: np.ndarray, counts: dict[str, int]) -> None:
    """A row for what the frames are, a column for right and wrong verdicts, with their shares of the row."""
    cell = SIDE // 2
    rows = (("successes", "true_positive", "false_negative"), ("other frames", "true_negative", "false_positive"))
    for row, (kind, right, wrong) in enumerate(rows):
        for column, (name, colour) in enumerate(((right, BLUE), (wrong, ORANGE))):
            x, y = 2 * EDGE + SIDE + column * cell, EDGE + row * cell
            share = counts[name] / max(1, counts[right] + counts[wrong])
            fill = tuple(round(255 - share * (255 - part) * 0.6) for part in colour)
            cv2.rectangle(canvas, (x, y), (x + cell - 4, y + cell - 4), fill, -1)
            _text(canvas, name.replace("_", " "), (x + 6, y + 20), BLACK)
            _text(canvas, str(counts[name]), (x + 6, y + 55), BLACK, 0.6)
            _text(canvas, f"{share:.1%} of {kind}", (x + 6, y + 85), BLACK, 0.33)


def _text(canvas: np.ndarray, text: str, at: tuple[int, int], colour: Colour, size: float = 0.4) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)

"""What a player sees: the newest frame, large, and below how success and uncertainty went."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from world4rl.play.session import Moment
from world4rl.presentation.drawing import BACKGROUND, SAMPLES, enlarged, even, write
from world4rl.presentation.plot import Curve, plot
from world4rl_wm.uncertainty.kind import UncertaintyKind

WIDTH, PLOT_HEIGHT, LINE = 640, 150, 24
LATELY = 60  # steps that the curves show at least; a longer dream is squeezed
UNCERTAINTY = {
    UncertaintyKind.NONE: "uncertainty: not estimated",
    UncertaintyKind.DISAGREEMENT: "uncertainty (uncalibrated)",
    UncertaintyKind.EXPECTED_ERROR: "expected picture error",
}


def play_picture(moments: Sequence[Moment], kind: UncertaintyKind, note: str = "") -> np.ndarray:
    """RGB picture with even sides, always of one size for one model, of the newest moment of a dream."""
    newest = moments[-1]
    channels, _, width = newest.frame.shape
    scale = max(1, math.ceil(WIDTH / (channels // 3 * width)))
    frame = enlarged(newest.frame, scale)
    unit = frame.shape[1] / WIDTH
    line, half = round(LINE * unit), frame.shape[1] // 2
    steps = max(LATELY, newest.step)

    def curve(values: Sequence[float], colour: int) -> list[Curve]:
        return [Curve("", list(enumerate(values)), SAMPLES[colour])]

    success, unsure = [m.success for m in moments], [m.uncertainty for m in moments]
    title = f"success probability {newest.success:.2f}"
    plots = [plot(half, round(PLOT_HEIGHT * unit), title, curve(success, 2), steps, 1.0, unit)]
    known = kind is not UncertaintyKind.NONE
    title = f"{UNCERTAINTY[kind]}{f' {newest.uncertainty:.3f}' if known else ''}"
    highest = max(0.02, *unsure) * 1.1
    shape = (frame.shape[1] - half, round(PLOT_HEIGHT * unit))
    plots.append(plot(*shape, title, curve(unsure, 1) if known else [], steps, highest, unit))
    head = np.full((line, frame.shape[1], 3), BACKGROUND, np.uint8)
    write(head, f"step {newest.step}   {note}", 6 * unit, 16 * unit, unit)
    return even(np.concatenate([head, frame, np.concatenate(plots, axis=1)]))


def status(moment: Moment, kind: UncertaintyKind, note: str = "") -> str:
    """The same in a line of text."""
    unsure = "" if kind is UncertaintyKind.NONE else f"  {UNCERTAINTY[kind]} {moment.uncertainty:.3f}"
    return f"step {moment.step:4d}  success {moment.success:.2f}{unsure}  {note}".rstrip()

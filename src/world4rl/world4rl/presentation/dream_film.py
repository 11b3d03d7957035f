"""Films of a dream beside reality: real, imagined and error frames, and below how success and uncertainty went."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from world4rl.presentation.drawing import BACKGROUND, FAINT, SAMPLES, TEXT, enlarged, error_map, even, text_width, write
from world4rl.presentation.plot import Curve, plot
from world4rl.presentation.video import HOLD_S, write_mp4
from world4rl_wm.uncertainty.kind import UncertaintyKind

FILM_WIDTH = 800  # pixels that a film has at least; what is drawn grows with it
PLOT_HEIGHT = 190
UNCERTAINTY_TITLE = {
    UncertaintyKind.NONE: "picture error; uncertainty is not estimated",
    UncertaintyKind.DISAGREEMENT: "picture error, uncertainty (uncalibrated)",
    UncertaintyKind.EXPECTED_ERROR: "picture error: real and expected",
}


@dataclass(frozen=True)
class DreamFilm:
    """S dreams of T steps from the same moment, of which real frames are known; moment 0 is that real one.

    Attributes:
        title: what is shown, for the top line.
        real: uint8 ``(R, C, H, W)`` with R <= T + 1; after them the last one stays.
        imagined: uint8 ``(S, T + 1, C, H, W)``.
        success: success probability ``(S, T + 1)`` of imagined frames, NaN where nothing judges.
        real_success: the same of the real frames ``(R,)``.
        uncertainty: ``(S, T + 1)`` [0..1 of the pixel range], of `kind`; 0 at moment 0.
        compared: whether the dreams were given the actions that the real frames followed, so that they can be wrong.
    """

    title: str
    real: np.ndarray
    imagined: np.ndarray
    success: np.ndarray
    real_success: np.ndarray
    uncertainty: np.ndarray
    kind: UncertaintyKind
    compared: bool

    def __post_init__(self) -> None:
        if self.real.dtype != np.uint8 or self.real.ndim != 4 or self.real.shape[1] % 3 or not len(self.real):
            raise ValueError(
                f"real frames must be uint8 (R, 3 per stream, H, W), got {self.real.dtype} {self.real.shape}"
            )
        if self.imagined.dtype != np.uint8 or self.imagined.shape[2:] != self.real.shape[1:]:
            raise ValueError(f"imagined frames {self.imagined.shape} must be uint8 (S, T + 1, *{self.real.shape[1:]})")
        shapes = {self.imagined.shape[:2], self.success.shape, self.uncertainty.shape}
        if len(shapes) > 1 or len(self.real_success) != len(self.real) or len(self.real) > self.steps + 1:
            raise ValueError("success and uncertainty need one value per imagined frame, real_success one per real one")

    @property
    def steps(self) -> int:
        return self.imagined.shape[1] - 1

    @cached_property
    def error(self) -> np.ndarray:
        """Mean absolute error ``(S, T + 1)`` [0..1 of the pixel range]; NaN where there is nothing to compare with."""
        error = np.full(self.success.shape, math.nan)
        if self.compared:
            known = len(self.real)
            apart = np.abs(self.imagined[:, :known].astype(np.float32) - self.real.astype(np.float32))
            error[:, :known] = apart.mean((2, 3, 4)) / 255
        return error

    def write(self, path: Path | str, fps: float, scale: int | None = None) -> Path:
        """Make the MP4 (H.264, yuv420p); the last moment stays a little.

        Raises:
            ValueError: fps is not above 0, or scale is below 1.
        """
        if fps <= 0 or (scale is not None and scale < 1):
            raise ValueError(f"fps must be above 0 and scale at least 1, got {fps} and {scale}")
        pictures = list(self.pictures(scale))
        return write_mp4(pictures + [pictures[-1]] * round(HOLD_S * fps), path, fps)

    def pictures(self, scale: int | None = None) -> Iterator[np.ndarray]:
        """RGB pictures with even sides, one per moment; frames are enlarged `scale` times, by default to be read."""
        columns = 3 if self.compared else 2
        across = self.real.shape[1] // 3 * self.real.shape[3]
        scale = scale or max(1, math.ceil(FILM_WIDTH / (columns * across)))
        unit = max(1.0, columns * across * scale / FILM_WIDTH)
        for moment in range(self.steps + 1):
            yield self._picture(moment, scale, unit)

    def _picture(self, moment: int, scale: int, unit: float) -> np.ndarray:
        gap, line = round(8 * unit), round(22 * unit)
        rows = [self._row(sample, moment, scale, gap) for sample in range(len(self.imagined))]
        height, panels = rows[0].shape[:2]
        width = max(panels, FILM_WIDTH)
        plots = self._plots(moment, width, unit)
        top = 2 * line
        canvas = np.full((top + len(rows) * (height + gap) + plots.shape[0], width, 3), BACKGROUND, np.uint8)
        write(canvas, f"{self.title}   step {moment} of {self.steps}", 6 * unit, 15 * unit, unit)
        names = ("real", "imagined", "error (black: none)") if self.compared else ("real", "imagined: a policy acts")
        step = (panels + gap) // len(names)
        for column, name in enumerate(names):
            write(canvas, name, column * step + 6 * unit, line + 15 * unit, unit, FAINT)
        for sample, row in enumerate(rows):
            y = top + sample * (height + gap)
            canvas[y : y + height, :panels] = row
            if len(rows) > 1:
                name = f"dream {sample + 1}"
                canvas[y : y + line, step : step + text_width(name, unit) + round(10 * unit)] = BACKGROUND
                write(canvas, name, step + 5 * unit, y + 15 * unit, unit, SAMPLES[sample % len(SAMPLES)])
        canvas[-plots.shape[0] :, : plots.shape[1]] = plots
        return even(canvas)

    def _row(self, sample: int, moment: int, scale: int, gap: int) -> np.ndarray:
        """The panels of one dream."""
        real, imagined = self.real[min(moment, len(self.real) - 1)], self.imagined[sample, moment]
        frames = [real, imagined]
        if self.compared:
            frames.append(error_map(real, imagined))
        between = np.full((real.shape[1] * scale, gap, 3), BACKGROUND, np.uint8)
        parts = [part for frame in frames for part in (enlarged(frame, scale), between)]
        return np.concatenate(parts[:-1], axis=1)

    def _plots(self, moment: int, width: int, unit: float) -> np.ndarray:
        """Success probability and uncertainty up to `moment`; axes are the same in all moments."""
        height, half = round(PLOT_HEIGHT * unit), width // 2

        def until(values: np.ndarray) -> list[tuple[float, float]]:
            return [(float(x), float(y)) for x, y in enumerate(values[: moment + 1])]

        names = [f"dream {i + 1}" for i in range(len(self.success))] if len(self.success) > 1 else ["imagined"]
        colours = [SAMPLES[i % len(SAMPLES)] for i in range(len(names))]
        success = [Curve("real", until(self.real_success), TEXT, 1.0)]
        success += [Curve(n, until(s), c) for n, s, c in zip(names, self.success, colours, strict=True)]
        wrong = list[Curve]()
        if self.kind is not UncertaintyKind.NONE:
            thick = "expected" if self.kind is UncertaintyKind.EXPECTED_ERROR else "uncertainty"
            wrong += self._family(f"{thick} (thick)", [until(u) for u in self.uncertainty], 4.0, dimmed=True)
        if self.compared:
            wrong += self._family("real (thin)", [until(e) for e in self.error], 1.0)
        highest = float(np.nanmax([0.02, np.nanmax(np.nan_to_num(self.error)), self.uncertainty.max()])) * 1.1
        return np.concatenate(
            [
                plot(half, height, "success probability", success, self.steps, 1.0, unit),
                plot(width - half, height, UNCERTAINTY_TITLE[self.kind], wrong, self.steps, highest, unit),
            ],
            axis=1,
        )

    @staticmethod
    def _family(
        name: str, lines: list[list[tuple[float, float]]], thickness: float, dimmed: bool = False
    ) -> list[Curve]:
        """A curve for each dream in its colour, named once."""
        colours = [SAMPLES[i % len(SAMPLES)] for i in range(len(lines))]
        if dimmed:
            colours = [(r // 2, g // 2, b // 2) for r, g, b in colours]
        return [
            Curve("" if i else name, line, c, thickness) for i, (line, c) in enumerate(zip(lines, colours, strict=True))
        ]

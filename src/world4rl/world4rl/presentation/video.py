"""Side-by-side films of reality and dream, as H.264 that browsers play."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from world4rl.presentation.drawing import BACKGROUND, enlarged, write

LABEL_PX, BAR_PX, GAP_PX = 24, 22, 8
BAR_LOW, BAR_HIGH = (92, 107, 128), (46, 160, 110)
HOLD_S = 0.6  # the last frame stays, so that the end of a short clip can be seen before it loops


def write_film(
    real: np.ndarray,
    imagined: np.ndarray,
    path: Path | str,
    probability: Sequence[float] | None = None,
    fps: float = 10.0,
    scale: int | None = None,
) -> Path:
    """Write ``real | imagined`` as an MP4 (H.264, yuv420p).

    Args:
        real: uint8 ``(T, C, H, W)``; C is 3 per camera stream, shown side by side.
        imagined: uint8 ``(T', C, H, W)``; where one of the two is shorter its last frame stays.
        probability: imagined success in [0, 1] per imagined frame, drawn as a bar under it.
        fps: frames per second; the contract's control rate shows real speed.
        scale: pixels per pixel; by default as many as make a stream about 128 high.

    Returns:
        `path`.

    Raises:
        ValueError: frames that are not uint8 ``(T, 3n, H, W)``, of different sizes, or probabilities that do not fit.
    """
    _check(real, "real")
    _check(imagined, "imagined")
    if real.shape[1:] != imagined.shape[1:]:
        raise ValueError(f"real frames are {real.shape[1:]}, imagined ones {imagined.shape[1:]}: they must be alike")
    if probability is not None and len(probability) != len(imagined):
        raise ValueError(f"{len(probability)} probabilities for {len(imagined)} imagined frames: give one per frame")
    if fps <= 0:
        raise ValueError(f"fps must be above 0, got {fps}")
    scale = scale or max(1, round(128 / real.shape[2]))
    length = max(len(real), len(imagined))
    pictures = [
        compose(
            real[min(t, len(real) - 1)],
            imagined[min(t, len(imagined) - 1)],
            None if probability is None else float(probability[min(t, len(imagined) - 1)]),
            scale,
        )
        for t in range(length)
    ]
    return write_mp4(pictures + [pictures[-1]] * round(HOLD_S * fps), path, fps)


def _check(frames: np.ndarray, name: str) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or not len(frames) or frames.shape[1] % 3 or not frames.shape[1]:
        raise ValueError(f"{name} frames must be uint8 (T, 3 per stream, H, W), got {frames.dtype} {frames.shape}")


def compose(real: np.ndarray, imagined: np.ndarray, probability: float | None, scale: int) -> np.ndarray:
    """One picture, uint8 RGB ``(H', W', 3)`` with even sides, of two frames ``(C, H, W)``."""
    panels = [enlarged(frame, scale) for frame in (real, imagined)]
    height, width = panels[0].shape[:2]
    canvas_height = LABEL_PX + height + (BAR_PX if probability is not None else 0)
    canvas_width = 2 * width + GAP_PX
    canvas = np.full((canvas_height + canvas_height % 2, canvas_width + canvas_width % 2, 3), BACKGROUND, np.uint8)
    for panel, label, left in zip(panels, ("real", "imagined"), (0, width + GAP_PX), strict=True):
        canvas[LABEL_PX : LABEL_PX + height, left : left + width] = panel
        write(canvas, label, left + 4, LABEL_PX - 8)
    if probability is not None:
        _bar(canvas, probability, width + GAP_PX, LABEL_PX + height, width)
    return canvas


def _bar(canvas: np.ndarray, probability: float, left: int, top: int, width: int) -> None:
    """Success probability as a bar with its figure; green from one half on."""
    share = min(max(probability, 0.0), 1.0) if np.isfinite(probability) else 0.0
    filled = left + round(share * width)
    canvas[top + 4 : top + BAR_PX - 2, left : left + width] = (48, 52, 60)
    canvas[top + 4 : top + BAR_PX - 2, left:filled] = BAR_HIGH if share >= 0.5 else BAR_LOW
    write(canvas, f"success {probability:.2f}", left + 5, top + BAR_PX - 6)


def write_mp4(pictures: Iterable[np.ndarray], path: Path | str, fps: float = 10.0) -> Path:
    """Encode RGB pictures of one even size; written beside its place and renamed, so that no half film is left."""
    with Mp4(path, fps) as film:
        for picture in pictures:
            film.add(picture)
    return film.path


class Mp4:
    """A film that grows picture by picture; it is at `path` once closed, unless nothing was added or it failed."""

    def __init__(self, path: Path | str, fps: float = 10.0):
        self.path, self._fps = Path(path), fps
        self._building = self.path.with_name(f".{self.path.name}.building.mp4")
        self._container: Any = None

    def add(self, picture: np.ndarray) -> None:
        """Add an RGB picture uint8 ``(H, W, 3)``, of even sides, all alike."""
        import av

        if self._container is None:
            self._open(*picture.shape[:2])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def _open(self, height: int, width: int) -> None:
        import av

        self.path.parent.mkdir(parents=True, exist_ok=True)
        # faststart puts the index first, so that a browser plays before it has everything
        self._container = av.open(str(self._building), "w", options={"movflags": "+faststart"})
        rate = Fraction(self._fps).limit_denominator(1000)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": "20"})
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.thread_count = 1

    def close(self) -> None:
        """Finish the film and put it in its place."""
        if self._container is None:
            return
        container, self._container = self._container, None
        container.mux(self._stream.encode())
        container.close()
        self._building.replace(self.path)

    def __enter__(self) -> Mp4:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._container is not None:
            self._container.close()
            self._building.unlink(missing_ok=True)  # there once the first picture is encoded

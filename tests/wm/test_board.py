"""Films and curves in TensorBoard, read back as TensorBoard reads them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from world4rl_wm.training.board import Board, gif

FILM = np.zeros((5, 8, 12, 3), np.uint8)
FILM[:, :, :, 0] = np.arange(0, 250, 50).reshape(5, 1, 1)  # red grows from frame to frame


def frames(data: bytes) -> list[tuple[int, np.ndarray]]:
    """Duration [ms] and pixels of a GIF's frames."""
    with Image.open(io.BytesIO(data)) as image:
        shown = []
        for number in range(image.n_frames):
            image.seek(number)
            shown.append((int(image.info["duration"]), np.asarray(image.convert("RGB"))))
    return shown


def test_a_film_shows_every_frame_in_order_at_its_rate(tmp_path: Path) -> None:
    board = Board(tmp_path, 0, "dream")
    board.film(7, "shown", FILM, rate_hz=16.0)
    board.close()
    (film,) = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Images("dream/shown")
    assert (film.step, film.width, film.height) == (7, 12, 8)
    shown = frames(film.encoded_image_string)
    assert [duration for duration, _ in shown] == [60] * 5, "a hundredth of a second is the finest that a GIF can say"
    for (_, pixels), true in zip(shown, FILM, strict=True):
        assert int(np.abs(pixels.astype(int) - true).max()) <= 8, "256 colours are near enough"


@pytest.mark.parametrize(("rate_hz", "duration_ms"), [(10.0, 100), (3.0, 330), (100.0, 20), (1000.0, 20)])
def test_no_film_is_faster_than_browsers_play(rate_hz: float, duration_ms: int) -> None:
    assert {duration for duration, _ in frames(gif(FILM, rate_hz))} == {duration_ms}


def test_what_an_interrupted_run_wrote_too_much_is_dropped(tmp_path: Path) -> None:
    for begin, end in ((0, 4), (2, 4)):
        board = Board(tmp_path, begin, "dream")
        for step in range(begin + 1, end + 1):
            board.curves(step, {"loss": begin + step})
            board.film(step, "shown", FILM, 10.0)
        board.close()
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(p.step, p.value) for p in read.Scalars("dream/loss")] == [(1, 1), (2, 2), (3, 5), (4, 6)]
    assert [film.step for film in read.Images("dream/shown")] == [1, 2, 3, 4]

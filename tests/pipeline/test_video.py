"""Films: they play in a browser (H.264, yuv420p, even sides) and show what they say they show."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from world4rl.presentation.video import BAR_PX, GAP_PX, LABEL_PX, Mp4, compose, write_film


def frames(length: int, streams: int = 2, size: int = 32, value: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (length, 3 * streams, size, size)
    return rng.integers(0, 256, shape, dtype=np.uint8) if value is None else np.full(shape, value, np.uint8)


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


@pytest.mark.parametrize(("size", "scale"), [(32, None), (31, 3)])
def test_film_is_what_browsers_play(tmp_path: Path, size: int, scale: int | None) -> None:
    path = write_film(frames(6, size=size), frames(6, size=size), tmp_path / "a" / "clip.mp4", [0.1] * 6, scale=scale)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.width % 2 == 0 and stream.height % 2 == 0
        assert float(stream.average_rate) == 10
        assert sum(1 for _ in container.decode(stream)) >= 6
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat"), "index must come first for streaming"
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"], "no half-written file may stay"


def test_sides_are_not_swapped(tmp_path: Path) -> None:
    path = write_film(frames(3, value=255), frames(3, value=0), tmp_path / "clip.mp4", scale=2)
    picture = decode(path)[0]
    middle = picture[LABEL_PX + 20]
    assert middle[:120].mean() > 230 and middle[128 + GAP_PX :].mean() < 25


def test_shorter_side_keeps_its_last_frame(tmp_path: Path) -> None:
    real = np.concatenate([frames(1, value=255), frames(1, value=0)])
    path = write_film(real, frames(5, value=128), tmp_path / "clip.mp4", scale=2)
    pictures = decode(path)
    assert pictures[0][LABEL_PX + 20, :100].mean() > 230 and pictures[4][LABEL_PX + 20, :100].mean() < 25


def test_probability_bar_grows_with_the_probability() -> None:
    def filled(probability: float) -> int:
        picture = compose(frames(1)[0], frames(1)[0], probability, 4)
        row = picture[LABEL_PX + 128 + BAR_PX - 3].astype(int)
        return int((np.abs(row - [48, 52, 60]).sum(1) > 10)[256 + GAP_PX :].sum())

    assert filled(0.0) == 0 and filled(1.0) == 256 and filled(0.25) == 64
    assert filled(float("nan")) == 0


@pytest.mark.parametrize(
    ("real", "imagined", "probability", "message"),
    [
        (frames(3).astype(float), frames(3), None, "real frames must be uint8"),
        (frames(3)[0], frames(3), None, "real frames must be uint8"),
        (frames(3), frames(3)[:0], None, "imagined frames must be uint8"),
        (frames(3), frames(3, size=16), None, "must be alike"),
        (frames(3), frames(3), [0.5], "one per frame"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, real, imagined, probability, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_film(real, imagined, tmp_path / "clip.mp4", probability)
    assert not list(tmp_path.iterdir())


def test_film_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Nor does one that nothing was added to; one that was closed holds what was added."""
    picture = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(KeyboardInterrupt), Mp4(tmp_path / "clip.mp4") as film:
        film.add(picture)
        raise KeyboardInterrupt
    Mp4(tmp_path / "clip.mp4").close()
    assert not list(tmp_path.iterdir())
    with Mp4(tmp_path / "clip.mp4", 5.0) as film:
        for _ in range(3):
            film.add(picture)
    assert len(decode(tmp_path / "clip.mp4")) == 3

"""TensorBoard's side of a training: curves, pictures and films."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.writer import FileWriter


class Board:
    """Goes on at `step` in the folder `tensorboard` of `folder`: points beyond it, of a run that was interrupted, are
    dropped. `name` is put before all titles."""

    def __init__(self, folder: Path, step: int, name: str) -> None:
        self._name = name
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def curves(self, step: int, values: Mapping[str, float]) -> None:
        """A point of each curve."""
        for curve, value in values.items():
            self._writer.add_scalar(f"{self._name}/{curve}", value, step)

    def picture(self, step: int, title: str, rgb: np.ndarray) -> None:
        """A picture uint8 ``(H, W, 3)``."""
        self._writer.add_image(f"{self._name}/{title}", rgb, step, dataformats="HWC")

    def film(self, step: int, title: str, rgb: np.ndarray, rate_hz: float) -> None:
        """A film uint8 ``(T, H, W, 3)``, played again and again at about `rate_hz`.

        TensorBoard shows an animated GIF among its pictures. SummaryWriter.add_video would make one as well, but only
        with a version of moviepy that is no longer kept.
        """
        image = Summary.Image(
            height=rgb.shape[1], width=rgb.shape[2], colorspace=3, encoded_image_string=gif(rgb, rate_hz)
        )
        writer = self._writer.file_writer
        assert isinstance(writer, FileWriter), "the board is closed"
        writer.add_summary(Summary(value=[Summary.Value(tag=f"{self._name}/{title}", image=image)]), step)

    def close(self) -> None:
        self._writer.close()


def gif(rgb: np.ndarray, rate_hz: float) -> bytes:
    """Frames uint8 ``(T, H, W, 3)`` as an endless GIF. It counts in hundredths of a second, and browsers play nothing
    faster than 50 frames a second."""
    first, *rest = (Image.fromarray(frame) for frame in rgb)
    data = io.BytesIO()
    duration_ms = max(20, round(100 / rate_hz) * 10)
    first.save(data, "GIF", save_all=True, append_images=rest, duration=duration_ms, loop=0, disposal=1)
    return data.getvalue()

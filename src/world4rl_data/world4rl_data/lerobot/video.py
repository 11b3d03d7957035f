"""Videos of a LeRobot dataset: an episode encoded, episodes joined into one MP4 without coding again, frames read back.

Frame k of an episode stands at from_timestamp + k / fps. There are no B-frames, so that presentation and decoding order
are the same and the first stamp is zero; a key frame every two frames (LeRobot's choice) makes single frames cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .layout import LeRobotError

TIME_BASE = 90_000  # ticks per second of the files; every integer rate up to 90 kHz that divides it lies on the grid
PIXEL_FORMATS = ("yuv420p", "yuv444p")


@dataclass(frozen=True)
class VideoConfig:
    """How frames are encoded. H.264, because it decodes everywhere."""

    crf: int = 18  # constant rate factor of x264: 0 is lossless but for the change of colour space, 51 is the worst
    pixel_format: str = "yuv420p"  # halves the colours' resolution, plays in every browser; yuv444p keeps it
    key_frame_every: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise LeRobotError(f"crf must lie in 0..51, got {self.crf}")
        if self.pixel_format not in PIXEL_FORMATS:
            raise LeRobotError(f"pixel format must be one of {PIXEL_FORMATS}, got '{self.pixel_format}'")

    def require_size(self, height: int, width: int, key: str) -> None:
        """Raise LeRobotError where the pixel format cannot hold pictures of this size."""
        if self.pixel_format == "yuv420p" and (height % 2 or width % 2):
            raise LeRobotError(f"{key}: pictures of {width}x{height} need even sides; use the pixel format yuv444p")


def encode(frames: Iterable[np.ndarray], path: Path, fps: int, config: VideoConfig) -> None:
    """Encode RGB frames uint8 (H, W, 3), all alike, in one thread and one frame at a time."""
    import av

    options = {"crf": str(config.crf), "g": str(config.key_frame_every), "bf": "0", "preset": "medium"}
    with av.open(str(path), "w", options={"video_track_timescale": str(TIME_BASE)}) as container:
        stream: Any = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options=options)
                stream.height, stream.width = frame.shape[0], frame.shape[1]
                stream.pix_fmt = config.pixel_format
                stream.codec_context.thread_count = 1
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        if stream is None:
            raise LeRobotError(f"{path} would hold no frame")
        container.mux(stream.encode())


class VideoJoiner:
    """One MP4 that grows by whole encoded episodes; packets are copied, nothing is coded again."""

    def __init__(self, path: Path, fps: int) -> None:
        self.path, self.frames = path, 0
        self._fps = fps
        self._container: Any = None
        self._stream: Any = None

    def append(self, episode: Path, frames: int) -> tuple[float, float]:
        """Add an encoded episode of so many frames. Returns where it begins and ends in this file [s]."""
        import av

        with av.open(str(episode)) as source:
            template = source.streams.video[0]
            if self._container is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                options = {"movflags": "faststart", "video_track_timescale": str(TIME_BASE)}
                self._container = av.open(str(self.path), "w", options=options)
                self._stream = self._container.add_stream_from_template(template)
                self._stream.time_base = template.time_base
            written = 0
            for packet in source.demux(template):
                if packet.dts is None:  # the end of the file
                    continue
                ticks = Fraction(self.frames + written, self._fps) / packet.time_base
                packet.pts = packet.dts = round(ticks)
                packet.stream = self._stream
                self._container.mux(packet)
                written += 1
        if written != frames:
            raise LeRobotError(f"{episode} holds {written} frames, expected {frames}")
        begin, self.frames = self.frames, self.frames + frames
        return begin / self._fps, self.frames / self._fps

    @property
    def megabytes(self) -> float:
        return self.path.stat().st_size / 2**20 if self.path.exists() else 0.0

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None


def feature(path: Path, fps: int) -> dict[str, Any]:
    """Feature of an image key in meta/info.json, from its first file."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        height, width = stream.height, stream.width
        codec, pixel_format = stream.codec_context.codec.canonical_name, stream.pix_fmt
    return {
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": height,
            "video.width": width,
            "video.codec": codec,
            "video.pix_fmt": pixel_format,
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        },
    }


def decode(path: Path, begin_s: float, frames: int, fps: float) -> Iterator[np.ndarray]:
    """The `frames` RGB pictures uint8 (H, W, 3) that stand at begin_s + k / fps, one at a time.

    Raises LeRobotError where one is missing: no picture within half a frame of where it should stand.
    """
    import av

    wanted = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.time_base is not None
        container.seek(int(begin_s / stream.time_base), stream=stream, backward=True)
        for frame in container.decode(stream):
            assert frame.time is not None
            late = frame.time - (begin_s + wanted / fps)
            if late < -0.5 / fps:
                continue
            if late > 0.5 / fps:
                break
            yield frame.to_ndarray(format="rgb24")
            wanted += 1
            if wanted == frames:
                return
    raise LeRobotError(
        f"{path} lacks a picture at {begin_s + wanted / fps:.3f} s (frame {wanted} of {frames} of its episode); "
        "fetch the video again"
    )

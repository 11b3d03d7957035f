"""What the robot knew at a moment: the newest message of each stream stamped at or before it.

The bag path and the live path both build observations with `ObservationAssembler`, so the same messages give
identical arrays. Messages are duck-typed: rclpy's and rosbags' classes both serve.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .contract import ImageStream, ProprioStream, TaskContract
from .image import ImageError, decode_compressed, decode_image, prepare


@dataclass(frozen=True)
class Observation:
    """One complete observation. `stream_stamps` says which message [ns] each stream's part came from."""

    images: dict[str, np.ndarray]  # stream name -> uint8 (H, W, 3) RGB, in contract order
    proprio: np.ndarray  # float32 (P,)
    stamp_ns: int  # the moment asked for
    stream_stamps: dict[str, int]

    @property
    def frame(self) -> np.ndarray:
        """uint8 (C, H, W): the streams stacked on the channels, as in `EpisodeStore.frames`."""
        return np.concatenate([image.transpose(2, 0, 1) for image in self.images.values()])

    @property
    def image_stamp_ns(self) -> int:
        """Stamp of the oldest image used: a new complete observation has come when this has grown."""
        return min(self.stream_stamps[name] for name in self.images)


@dataclass(frozen=True)
class Missing:
    """No complete observation: stream name -> why."""

    reasons: dict[str, str]

    def __str__(self) -> str:
        return "; ".join(f"{name}: {why}" for name, why in self.reasons.items())


@dataclass
class _History:
    """Recent messages of one topic, oldest first."""

    stamps: list[int]
    messages: list[Any]
    parts: list[dict[str, np.ndarray]]  # per message: what was already made of it, by stream name


class ObservationAssembler:
    """Keeps recent messages of the contract's topics and answers what was known at a stamp."""

    def __init__(self, contract: TaskContract, history_s: float = 1.0) -> None:
        """`history_s`: how far behind the newest message of a topic a stamp may lie (on top of its time-out)."""
        self.contract = contract
        self.streams = contract.streams
        self._keep_ns = int((history_s + max(s.timeout_s for s in self.streams)) * 1e9)
        self._history = {s.topic: _History([], [], []) for s in self.streams}

    def push(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Add one message; `stamp_ns` from `message_stamp`. Topics outside the contract are an error (KeyError)."""
        held = self._history[topic]
        if held.stamps and stamp_ns < held.stamps[-1] - self._keep_ns:
            self._history[topic] = held = _History(
                [], [], []
            )  # the clock was set back: what is held is of another time
        at = bisect.bisect_right(held.stamps, stamp_ns)
        held.stamps.insert(at, stamp_ns)
        held.messages.insert(at, message)
        held.parts.insert(at, {})
        old = bisect.bisect_left(held.stamps, held.stamps[-1] - self._keep_ns)
        if old:
            del held.stamps[:old], held.messages[:old], held.parts[:old]

    def clear(self) -> None:
        """Forget all messages, e.g. after a reset of the arm."""
        for topic in self._history:
            self._history[topic] = _History([], [], [])

    def at(self, stamp_ns: int) -> Observation | Missing:
        """The observation at `stamp_ns`, or what is missing: nothing came, it is too old, or it cannot be decoded."""
        parts: dict[str, np.ndarray] = {}
        stamps: dict[str, int] = {}
        reasons: dict[str, str] = {}
        for stream in self.streams:
            found = self._part(stream, stamp_ns)
            if isinstance(found, str):
                reasons[stream.name] = found
            else:
                stamps[stream.name], parts[stream.name] = found
        if reasons:
            return Missing(reasons)
        proprio = [parts[s.name] for s in self.contract.proprioception]
        return Observation(
            images={s.name: parts[s.name] for s in self.contract.images},
            proprio=np.concatenate(proprio) if proprio else np.zeros(0, np.float32),
            stamp_ns=stamp_ns,
            stream_stamps=stamps,
        )

    def _part(self, stream: ImageStream | ProprioStream, stamp_ns: int) -> tuple[int, np.ndarray] | str:
        """Stamp and array of one stream's part, or why there is none."""
        held = self._history[stream.topic]
        at = bisect.bisect_right(held.stamps, stamp_ns) - 1
        if at < 0:
            return f"no message on {stream.topic}" + (" that early" if held.stamps else "")
        age = (stamp_ns - held.stamps[at]) / 1e9
        if age > stream.timeout_s:
            return f"newest message on {stream.topic} is {age:.2f} s old, time-out {stream.timeout_s} s"
        parts = held.parts[at]
        if stream.name not in parts:
            made = _make_part(stream, held.messages[at])
            if isinstance(made, str):
                return made
            parts[stream.name] = made
        return held.stamps[at], parts[stream.name]


def message_stamp(message: Any, received_ns: int) -> int:
    """A message's time [ns]: its header's stamp, or when it was received if it has none or the stamp is zero."""
    header = getattr(message, "header", None)
    if header is None:
        return received_ns
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec or received_ns


def read_field(message: Any, field: str) -> float:
    """Value of a dotted field such as `pose.position.x` or `position[0]`. AttributeError or IndexError if absent."""
    value = message
    for name, index in re.findall(r"([A-Za-z_]\w*)|\[(\d+)\]", field):
        value = getattr(value, name) if name else value[int(index)]
    return float(value)


def stack_proprio(values: Iterable[float]) -> np.ndarray:
    """Proprioceptive numbers as the float32 vector that models see."""
    return np.asarray(list(values), np.float32)


def image_of(message: Any, stream: ImageStream) -> np.ndarray:
    """Model image, uint8 (H, W, 3) RGB, of a sensor_msgs Image or CompressedImage. Raises ImageError."""
    if stream.type.endswith("CompressedImage"):
        return prepare(decode_compressed(message.data), stream)
    m = message
    return prepare(decode_image(m.encoding, m.height, m.width, m.step, m.data, m.is_bigendian), stream)


def _make_part(stream: ImageStream | ProprioStream, message: Any) -> np.ndarray | str:
    if isinstance(stream, ImageStream):
        try:
            return image_of(message, stream)
        except ImageError as error:
            return str(error)
    try:
        values = stack_proprio(read_field(message, f) for f in stream.fields)
    except (AttributeError, IndexError, TypeError) as error:
        return f"a message on {stream.topic} lacks one of the fields {list(stream.fields)} ({error})"
    if not np.isfinite(values).all():
        return f"a message on {stream.topic} has a value that is not finite in {list(stream.fields)}"
    return values

"""What can be asked of the imagination, and how a request is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol


class Refusal(ValueError):
    """A request that cannot be dreamt; the message says what to mend."""


class ContextSource(IntEnum):
    """Where a dream starts, as in world4rl_interfaces/srv/ImagineRollout."""

    LIVE = 0
    GIVEN = 1
    STORE = 2


class RawImage(Protocol):
    """What is read of a sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


@dataclass(frozen=True)
class ImagineRequest:
    """The fields of world4rl_interfaces/srv/ImagineRollout that decide the dream; what they mean stands there."""

    horizon: int
    context_source: int = ContextSource.LIVE
    context: Sequence[RawImage] = ()
    context_actions: Sequence[float] = ()
    store_uri: str = ""
    store_index: int = 0
    use_policy: bool = False
    actions: Sequence[float] = ()
    samples: int = 0
    seed: int = 0
    return_frames: bool = True
    task: str = ""


@dataclass(frozen=True)
class ImaginationLimits:
    """How much one request may ask for: steps, steps times samples, and time [s] on this machine.

    `prefix` stands before the names of the parameters that set the limits; `instead` says who takes what is too much.
    """

    max_horizon: int = 100
    max_frames: int = 1000
    max_seconds: float = math.inf
    prefix: str = ""
    instead: str = "ask for fewer"

    def samples(self, request: ImagineRequest) -> int:
        """The number of dreams, 1 or more; Refusal where the horizon is absurd or the whole too much."""
        if not 1 <= request.horizon <= self.max_horizon:
            raise Refusal(
                f"horizon is {request.horizon}: give 1 to {self.max_horizon} steps (parameter "
                f"{self.prefix}max_horizon); one step is one control period"
            )
        samples = request.samples or 1
        if not 1 <= samples <= self.max_frames // request.horizon:
            raise Refusal(
                f"samples {samples} x horizon {request.horizon} are {samples * request.horizon} frames, at most "
                f"{self.max_frames} are allowed (parameter {self.prefix}max_frames): {self.instead}"
            )
        return samples

    def require_time(self, request: ImagineRequest, step_s: float) -> None:
        """Refusal where the request would take longer than allowed, a step of all its samples taking `step_s`."""
        samples = request.samples or 1
        seconds = request.horizon * step_s
        if seconds > self.max_seconds:
            raise Refusal(
                f"this would take about {seconds:.1f} s ({samples} x {request.horizon} frames, {samples / step_s:.0f} "
                f"frames/s here), at most {self.max_seconds:g} s are allowed (parameter {self.prefix}max_seconds): "
                f"{self.instead}"
            )

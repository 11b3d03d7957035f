"""What can be asked of the imagination, and how a request is refused."""

from __future__ import annotations

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


@dataclass(frozen=True)
class ImaginationLimits:
    """How much one request may ask for: steps, and steps times samples."""

    max_horizon: int = 100
    max_frames: int = 1000

    def samples(self, request: ImagineRequest) -> int:
        """The number of dreams, 1 or more; Refusal where the horizon is absurd or the whole too much."""
        if not 1 <= request.horizon <= self.max_horizon:
            raise Refusal(
                f"horizon is {request.horizon}: give 1 to {self.max_horizon} steps (parameter max_horizon); "
                f"one step is one control period"
            )
        samples = request.samples or 1
        if not 1 <= samples <= self.max_frames // request.horizon:
            raise Refusal(
                f"samples {samples} x horizon {request.horizon} are {samples * request.horizon} frames, at most "
                f"{self.max_frames} are allowed (parameter max_frames): ask for fewer"
            )
        return samples

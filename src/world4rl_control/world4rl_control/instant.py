"""One moment on both clocks that the gate goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instant:
    """`ros_s`: the node's clock, which a simulator may slow, stop or start again. `steady_s`: real time. Both in s."""

    ros_s: float
    steady_s: float

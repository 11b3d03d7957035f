"""One moment on both clocks that the gate goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instant:
    """`ros_s`: the node's clock, for whatever is compared with stamps. `steady_s`: real time. Both in s.

    `simulated`: the node's clock is /clock, which a simulator may slow, stop or start again.
    """

    ros_s: float
    steady_s: float
    simulated: bool = False

    @property
    def timing_s(self) -> float:
        """The clock for ages, time-outs and speeds: a simulator's own, else the steady one. The machine's own clock may
        be set while the arm moves: silence would not count for as long as it goes back, and a way not driven yet would
        count as driven where it goes forward."""
        return self.ros_s if self.simulated else self.steady_s

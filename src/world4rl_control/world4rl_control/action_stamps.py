"""When actions were decided on: stamps by the clocks of several machines, which need not agree. No ROS in here."""

from __future__ import annotations

from world4rl_data.episode import ActionSource

_LITTLE_S = 0.001


class ActionStamps:
    """The stamps of the actions taken since enabling.

    `executed_s` is the one that the last action is published under: its own where that lies after the action before,
    else a little after that one, so that what is recorded never goes back in time.
    """

    def __init__(self) -> None:
        self.ages_s: dict[int, float] = {}  # by source: how old its last action was on arrival, taken or not
        self.heard_s: dict[int, float] = {}  # by source: when that was
        self.clear()

    def clear(self) -> None:
        """Nothing has been taken yet."""
        self.executed_s = 0.0
        self._decided_s: dict[int, float] = {}  # by source
        self._now_s = 0.0

    def see(self, source: int, stamp_s: float, now_s: float) -> None:
        """Note an action that has come; a clock that went back began again, and earlier stamps say nothing more."""
        if now_s < self._now_s:
            self.clear()
        self._now_s, self.ages_s[source], self.heard_s[source] = now_s, now_s - stamp_s, now_s

    def take(self, source: int, stamp_s: float) -> None:
        """Note an action that is executed."""
        self._decided_s[source] = stamp_s
        self.executed_s = max(stamp_s, self.executed_s + _LITTLE_S)

    def overtaken(self, source: int, stamp_s: float, drives: bool) -> bool:
        """Whether the source decided no later than on what has been executed since; `drives`: it has the arm.

        A human is measured by her own actions alone, and not at all when she takes over: by another machine's clock
        she might always come too late.
        """
        if source == ActionSource.HUMAN:
            return drives and stamp_s <= self._decided_s.get(source, 0.0)
        return stamp_s <= max(self._decided_s.values(), default=0.0)

"""Which source of actions drives the arm: human over script over policy over explorer."""

from __future__ import annotations

from world4rl_data.episode import ActionSource

_RANK = {ActionSource.HUMAN: 3, ActionSource.SCRIPTED: 2, ActionSource.POLICY: 1, ActionSource.RANDOM: 0}


class SourcePriority:
    """Gives the arm to the highest source. A human keeps it until `release`, any other until it has been silent."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._last_s = 0.0
        self.active = ActionSource.UNKNOWN

    @staticmethod
    def parse(source: int) -> ActionSource:
        """The source as one that may act. Raises ValueError for UNKNOWN and for anything else."""
        if source not in _RANK:
            raise ValueError(f"unknown source {source}: set Action.source to HUMAN, SCRIPTED, POLICY or RANDOM")
        return ActionSource(source)

    def admit(self, source: ActionSource, now_s: float) -> str:
        """Take `source` as the active one and return "", or return why it has to wait."""
        if self.active in _RANK and _RANK[source] < _RANK[self.active]:
            if self.active == ActionSource.HUMAN:
                return f"a human has the arm: {source.name} waits for ~/release"
            if 0.0 <= now_s - self._last_s < self._silence_s:
                return f"{self.active.name} has the arm: {source.name} waits until it is silent"
        self.active, self._last_s = source, now_s
        return ""

    def release(self) -> None:
        """Hand the arm back: the next source that speaks gets it."""
        self.active = ActionSource.UNKNOWN

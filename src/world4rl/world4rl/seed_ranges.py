"""Start states by purpose: disjoint ranges of simulator seeds, so that nothing is judged on what it learned from."""

from __future__ import annotations

from dataclasses import dataclass

_SPAN = 100_000  # seeds of one run; far more than any run uses
_PURPOSE = 10_000


@dataclass(frozen=True)
class SeedRanges:
    """The seeds of run `seed`, per purpose."""

    seed: int

    def first(self, purpose: str) -> int:
        """First seed of a purpose: one of `PURPOSES`."""
        return _SPAN * (self.seed + 1) + _PURPOSE * PURPOSES.index(purpose)

    def take(self, purpose: str, count: int) -> range:
        """`count` seeds of a purpose."""
        if count > _PURPOSE:
            raise ValueError(f"{count} start states for {purpose}: at most {_PURPOSE} are set apart")
        return range(self.first(purpose), self.first(purpose) + count)

    def to_dict(self) -> dict[str, list[int]]:
        """First and last seed set apart for each purpose."""
        return {p: [self.first(p), self.first(p) + _PURPOSE - 1] for p in PURPOSES}


PURPOSES = (
    "demonstrate",
    "train",
    "random",
    "scout",
    "replay_check",
    "evaluate",
    "deploy",
    "measure",
    "concordance",
    "loop",
)

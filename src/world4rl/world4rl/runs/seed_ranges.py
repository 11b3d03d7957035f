"""Start states by purpose: disjoint ranges of simulator seeds, so that nothing is judged on what it learned from."""

from __future__ import annotations

from dataclasses import dataclass

_SPAN = 100_000  # seeds of one run; far more than any run uses
_OFFSETS = {
    "demonstrate": 0,
    "train": 10_000,
    "random": 20_000,
    "select": 25_000,
    "scout": 30_000,
    "replay_check": 40_000,
    "evaluate": 50_000,
    "deploy": 60_000,
    "measure": 70_000,
    "concordance": 80_000,
    "loop": 90_000,
}
PURPOSES = tuple(_OFFSETS)
_COUNT = {name: end - _OFFSETS[name] for name, end in zip(PURPOSES, [*_OFFSETS.values(), _SPAN][1:], strict=True)}


@dataclass(frozen=True)
class SeedRanges:
    """The seeds of run `seed`, per purpose."""

    seed: int

    def _first(self, purpose: str) -> int:
        if purpose not in _OFFSETS:
            raise ValueError(f"no seeds are set apart for '{purpose}': the purposes are {', '.join(PURPOSES)}")
        return _SPAN * (self.seed + 1) + _OFFSETS[purpose]

    def take(self, purpose: str, count: int) -> range:
        """`count` seeds of a purpose, one of `PURPOSES`, from its first on.

        Raises:
            ValueError: there is no such purpose, or fewer are set apart for it.
        """
        first = self._first(purpose)
        if count > _COUNT[purpose]:
            raise ValueError(f"{count} start states for {purpose}: at most {_COUNT[purpose]} are set apart")
        return range(first, first + count)

    def to_dict(self) -> dict[str, list[int]]:
        """First and last seed set apart for each purpose."""
        return {p: [self._first(p), self._first(p) + _COUNT[p] - 1] for p in PURPOSES}

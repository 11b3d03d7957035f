"""How soon after its last action a source may act again: the same for a policy, a scripted operator and an explorer."""

from __future__ import annotations

EARLIEST = 0.9  # of a control period; a full one would turn jitter into skipped periods


def too_soon(since_s: float, period_s: float) -> bool:
    """Whether `since_s` after an action is too soon for the next; a clock that starts again does not hold it up."""
    return 0.0 <= since_s < EARLIEST * period_s

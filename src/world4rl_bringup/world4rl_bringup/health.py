"""Is the graph well? A verdict on what /diagnostics says; health_node.py listens and returns it as an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ERROR = 2  # diagnostic_msgs/DiagnosticStatus: OK 0, WARN 1, ERROR 2, STALE 3


@dataclass(frozen=True)
class Status:
    """The newest status under one name, such as "world4rl: policy"."""

    level: int
    message: str


def silent(statuses: Iterable[str], expected: Sequence[str]) -> list[str]:
    """The expected nodes that no status name speaks of."""
    names = list(statuses)
    return [node for node in expected if not any(node in name for name in names)]


def problems(statuses: Mapping[str, Status], expected: Sequence[str]) -> list[str]:
    """What is wrong, one sentence each: expected nodes that were not heard, and whatever is at ERROR or STALE.

    A gate that holds or a policy that waits is a warning: the graph is well.
    """
    unheard = [f"nothing of {node} on /diagnostics" for node in silent(statuses, expected)]
    return unheard + [f"{name}: {told.message}" for name, told in statuses.items() if told.level >= ERROR]

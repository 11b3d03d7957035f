"""The tables of docs/interfaces.md as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/interfaces.md"


@dataclass(frozen=True)
class Topic:
    """A row: its type, and the QoS of each node ("" where the page gives none), such as {"arm_gate": "R TL"}."""

    name: str
    type: str
    publishers: dict[str, str]
    subscribers: dict[str, str]


def cells(section: str) -> list[list[str]]:
    """The rows of the table under a heading, without head and rule."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" |")] for line in text.splitlines() if line.startswith("| `")
    ]
    assert rows, f"no table under {section}"
    return rows


def _nodes(cell: str) -> dict[str, str]:
    found = {}
    for entry in filter(None, (part.strip() for part in cell.split(","))):
        if not entry.startswith("("):  # of other projects
            node, _, qos = entry.partition(" ")
            assert re.fullmatch(r"((R|BE)( TL)? \d+)?", qos), f"cannot read {entry!r}"
            found[node] = re.sub(r" \d+$", "", qos)
    return found


def topics() -> dict[str, Topic]:
    """All topics of the page by name."""
    found = {}
    for name, kind, publishers, subscribers in cells("Our topics") + cells("Robot, cameras and devices"):
        found[name.strip("`")] = Topic(name.strip("`"), kind.strip("`"), _nodes(publishers), _nodes(subscribers))
    return found


def services() -> dict[str, tuple[str, str]]:
    """Type and node of all services and actions of the page by name."""
    return {name.strip("`"): (kind.strip("`"), node) for name, kind, node, _ in cells("Services and actions")}

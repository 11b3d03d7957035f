"""Markdown tables, and what every generated page says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; what would end a cell is written otherwise."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def opening(title: str, source: str) -> str:
    """Head of a page that nobody should edit."""
    return f"# {title}\n\nGenerated from {source} when the site is built; edit there.\n"

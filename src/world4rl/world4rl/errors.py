"""What a user is told where a command cannot do what was asked."""

from __future__ import annotations

from pathlib import Path

from world4rl_wm.unfinished import unfinished


class CommandError(RuntimeError):
    """A command that cannot do what was asked; the message says what to do instead."""


def existing(path: Path, what: str) -> Path:
    """`path` if it exists.

    Raises:
        CommandError: it does not.
    """
    if not path.exists():
        raise CommandError(unfinished(path) or f"{what} {path} does not exist")
    return path

"""Options that several commands share, and small helpers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from world4rl_wm.unfinished import unfinished

PresetOption = Annotated[
    str,
    tyro.conf.arg(
        name="preset", help="Settings: tiny (2 CPU cores), small (several), base or paper (GPU), or a YAML file."
    ),
]
Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        name="set", metavar="KEY=VALUE", help="Settings that replace the preset's, such as ppo.iterations=20."
    ),
]
SeedOption = Annotated[int, tyro.conf.arg(name="seed", help="Seed of everything random.")]


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

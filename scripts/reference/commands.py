"""What `world4rl COMMAND --help` prints, command by command."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from unittest.mock import patch

from scripts.reference.tables import opening
from world4rl.cli import main
from world4rl.commands.registry import COMMANDS

ELSEWHERE = {("run",): "Its modes and their arguments: [ros](../ros.md#arguments)."}


def help_of(name: tuple[str, ...]) -> str:
    """The command's help at a width of 100 columns, without colours."""
    printed = io.StringIO()
    plain = patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    with plain, contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*name, "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def commands_page(root: Path) -> str:
    """The page of all commands."""
    pieces = [opening("Commands", "the commands' own `--help`")]
    for name, command in COMMANDS.items():
        pieces.append(f"## world4rl {' '.join(name)}\n\n{command.summary[0].upper()}{command.summary[1:]}.\n")
        pieces.append(f"{ELSEWHERE[name]}\n" if name in ELSEWHERE else f"```text\n{help_of(name)}\n```\n")
    return "\n".join(pieces).rstrip() + "\n"

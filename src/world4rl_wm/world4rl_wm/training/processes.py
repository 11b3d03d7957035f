"""Which of the processes of a training this one is, as torchrun and `accelerate launch` tell it."""

from __future__ import annotations

import os


def main_process() -> bool:
    """Whether this process writes files and talks; true where there is only one."""
    return os.environ.get("RANK", "0") == "0"

"""What to say of a checkpoint that is not there because its training was interrupted."""

from __future__ import annotations

from pathlib import Path


def unfinished(checkpoint: Path) -> str:
    """A sentence that says how to finish the training of a missing checkpoint, empty where none was begun.

    Training leaves its settings and its state in a folder beside the checkpoint that it will write.
    """
    work = checkpoint.with_name(f"{checkpoint.name}.training")
    if checkpoint.exists() or not work.is_dir():
        return ""
    mend = "give the command that trains it again"
    return f"{checkpoint} is not there yet, for its training ({work}) is not finished: {mend}"

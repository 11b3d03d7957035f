"""Tensors into a safetensors file; a disk that is full says so as it does to every other writer, and weights of a
training that has diverged are not written over better ones."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


class DivergedError(ArithmeticError):
    """Weights that are no numbers any more; the message says where and what to do."""


def require_numbers(weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise DivergedError where any of the weights that are to be written to `path` is NaN; bounds may be infinite."""
    spoilt = [name for name, value in weights.items() if bool(value.isnan().any())]
    if spoilt:
        there = "is as it was" if path.exists() else "was not there yet"
        raise DivergedError(
            f"training has diverged: {len(spoilt)} of {len(weights)} tensors hold NaN ({spoilt[0]} first) and are not "
            f"written; {path} {there}. Train with a lower learning rate, in another folder"
        )


def write_weights(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write contiguous tensors of the CPU to `path`.

    Raises:
        OSError: the system does not take the file; of safetensors' own error only the words say that.
    """
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told is None:
            raise
        number = int(told[1])
        raise OSError(number, os.strerror(number), str(path)) from error

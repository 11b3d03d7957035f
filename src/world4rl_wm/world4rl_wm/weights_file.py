"""Tensors into a safetensors file; a disk that is full says so as it does to every other writer."""

from __future__ import annotations

import os
import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


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

"""The device that a user names."""

from __future__ import annotations

import torch


def resolve_device(name: str) -> str:
    """`auto` to cuda where there is one, else cpu; any other name stays.

    Raises:
        ValueError: torch knows no such device, or it is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        there = "cpu or cuda" if torch.cuda.is_available() else "or cpu, which is all that torch finds here"
        raise ValueError(f"no device '{name}' on this machine: use auto, {there}") from error
    return name

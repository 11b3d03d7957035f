"""The processes of a training and their devices, as torchrun and `accelerate launch` tell them."""

from __future__ import annotations

import os

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env


def main_process() -> bool:
    """Whether this process writes files and talks; true where there is only one."""
    return os.environ.get("RANK", "0") == "0"


def process_state() -> PartialState:
    """accelerate's view of this process, joined to the others: over NCCL on GPUs, over gloo on CPUs.

    Called before anything else of accelerate: a bare PartialState() forgets `ACCELERATE_USE_CPU`, and takes each of
    several processes without a GPU for the only one.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())

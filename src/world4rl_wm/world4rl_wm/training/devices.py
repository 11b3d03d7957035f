"""The device that a training runs on, and the processes that it shares each batch with."""

from __future__ import annotations

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env


def process_state() -> PartialState:
    """accelerate's view of this process, joined to the others: over NCCL on GPUs, over gloo on CPUs.

    Called before anything else of accelerate: a bare PartialState() forgets `ACCELERATE_USE_CPU`, and takes each of
    several processes without a GPU for the only one.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())

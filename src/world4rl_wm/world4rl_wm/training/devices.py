"""The device that a training runs on, and the processes that it shares each batch with."""

from __future__ import annotations

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from world4rl_wm.devices import resolve_device


def process_state(cpu: bool = False) -> PartialState:
    """accelerate's view of this process, joined to the others: over NCCL on GPUs, over gloo on CPUs (or with `cpu`).

    Called before anything else of accelerate: a bare PartialState() forgets `ACCELERATE_USE_CPU`, and takes each of
    several processes without a GPU for the only one. Later calls find what the first one has made.
    """
    return PartialState(cpu=cpu or parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())


def process_device(name: str = "auto") -> torch.device:
    """Where this process computes. `auto`: on a GPU where there is one, each of several processes on its own.

    Raises:
        ValueError: several processes were sent to one GPU, or there is no such device.
    """
    state = process_state(cpu=name == "cpu")
    if name == "auto":
        return state.device
    if name != "cpu" and state.num_processes > 1:
        raise ValueError(f"{state.num_processes} processes find their GPUs by themselves: leave the device at auto")
    return torch.device(resolve_device(name))


def take_gpu(number: int) -> None:
    """Have this process, `number` of several independent ones side by side, compute on GPU `number`, counted round
    where there are fewer. Without a GPU nothing happens."""
    if process_state().device.type == "cuda":
        torch.cuda.set_device(number % torch.cuda.device_count())

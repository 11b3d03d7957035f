"""Which number format the networks compute in: bfloat16 where the processor multiplies it itself, else float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path

import torch

_NATIVE_BFLOAT16 = {"amx_bf16", "avx512_bf16", "bf16"}  # names in /proc/cpuinfo; the last is Arm's


@lru_cache
def native_bfloat16(device_type: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether a device computes in bfloat16. A CPU that only emulates it trains at half the speed or less."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type != "cpu" or not cpuinfo.is_file():
        return False
    return not _NATIVE_BFLOAT16.isdisjoint(cpuinfo.read_text().split())


def mixed_precision(device_type: str) -> str:
    """accelerate's name of the format for a device."""
    return "bf16" if native_bfloat16(device_type) else "no"


def storage_format(device: torch.device) -> torch.dtype:
    """What pictures are kept in for networks that see them within `autocast`: those round them to it anyway."""
    return torch.bfloat16 if native_bfloat16(device.type) else torch.float32


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Within it, a network's layers compute in the quickest format that is exact enough for a denoiser."""
    if native_bfloat16(device.type):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()

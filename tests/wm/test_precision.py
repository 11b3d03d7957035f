"""bfloat16 only where the processor has it: emulated, it halved the speed of training or worse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from world4rl_wm.precision import autocast, native_bfloat16


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ("flags : fpu avx512f avx512_vnni", False),
        ("flags : fpu avx512f avx512_bf16", True),
        ("flags : fpu avx512f amx_bf16 amx_tile", True),
        ("Features : fp asimd bf16", True),
        ("Features : fp asimd", False),
    ],
)
def test_the_flags_of_the_processor_decide(tmp_path: Path, flags: str, native: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\n{flags}\n")
    assert native_bfloat16("cpu", cpuinfo) is native


def test_without_flags_to_read_it_is_float32(tmp_path: Path) -> None:
    assert not native_bfloat16("cpu", tmp_path / "none")


def test_layers_compute_in_the_chosen_format() -> None:
    with autocast(torch.device("cpu")):
        out = torch.nn.Linear(4, 4)(torch.randn(2, 4))
    assert out.dtype == (torch.bfloat16 if native_bfloat16("cpu") else torch.float32)

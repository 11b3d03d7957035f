"""Freed memory stays with the process, where the C library can be told so."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

ALLOCATE = """
import resource
from world4rl_wm.training.memory import keep_freed_memory

if {keep}:
    keep_freed_memory()

def take_and_free():
    for _ in range(5):
        bytearray(40 << 20)

take_and_free()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
take_and_free()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(keep: bool) -> int:
    """Pages that the system gave to a process which takes and frees 40 MiB five times, after it had done so before."""
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATE.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_freed_memory_is_taken_again() -> None:
    assert new_pages(keep=True) < 100 < new_pages(keep=False)

"""The CPU seconds of a benchmark's row: over attempts and processes, or not known."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

from refinement_parts.cpu_time import FILE, counted, cpu_seconds

BUSY = "import time\nwhile time.process_time() < {}: pass"


def busy(seconds: float) -> None:
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def test_attempts_and_other_processes_count(tmp_path: Path) -> None:
    """How much a processor takes for the rest, to start Python above all, is for no test to say."""
    assert cpu_seconds(tmp_path) is None
    with pytest.raises(KeyboardInterrupt), counted(tmp_path):
        busy(0.3)
        raise KeyboardInterrupt
    first = cpu_seconds(tmp_path)
    assert first is not None and first >= 0.3
    with counted(tmp_path):
        subprocess.run([sys.executable, "-c", BUSY.format(0.4)], check=True)
    second = cpu_seconds(tmp_path)
    assert second is not None and round(second - first, 1) >= 0.4
    busy(0.4)
    with counted(tmp_path):
        pass
    third = cpu_seconds(tmp_path)
    assert third is not None and third - second < 0.3, "what was done outside does not"


def test_of_a_killed_attempt_nothing_is_known(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), counted(tmp_path):
        killed = (tmp_path / FILE).read_text()
        raise KeyboardInterrupt
    (tmp_path / FILE).write_text(killed)
    with counted(tmp_path):
        busy(0.1)
    assert cpu_seconds(tmp_path) is None

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
    assert cpu_seconds(tmp_path) is None
    with pytest.raises(KeyboardInterrupt), counted(tmp_path):
        busy(0.3)
        raise KeyboardInterrupt
    assert cpu_seconds(tmp_path) == pytest.approx(0.35, abs=0.11)
    with counted(tmp_path):
        subprocess.run([sys.executable, "-c", BUSY.format(0.4)], check=True)
    assert cpu_seconds(tmp_path) == pytest.approx(0.75, abs=0.16)
    busy(0.2)
    assert cpu_seconds(tmp_path) == pytest.approx(0.75, abs=0.16), "what was done outside does not"


def test_of_a_killed_attempt_nothing_is_known(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), counted(tmp_path):
        killed = (tmp_path / FILE).read_text()
        raise KeyboardInterrupt
    (tmp_path / FILE).write_text(killed)
    with counted(tmp_path):
        busy(0.1)
    assert cpu_seconds(tmp_path) is None

"""Files that a run goes on from are whole, old or new, whenever it is killed or the disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from world4rl.runs.load_run import CONFIG, require_config
from world4rl_policy.trust_limit import TRUST, TrustLimit
from world4rl_wm.training.metrics_log import MetricsLog, read_metrics
from world4rl_wm.uncertainty.calibration import UNCERTAINTY, CalibrationConfig, UncertaintyCalibration

LIMIT = TrustLimit({"camera front": 1.0}, 1.0, 3, "weights", 10, 10, 0, (0.0, 0.3))
MAPS = UncertaintyCalibration("weights", (), {}, 0.1, 0.5, 10, 10, "", "", False, CalibrationConfig())

Writer = Callable[[Path, int], object]
WRITERS: dict[str, Writer] = {
    CONFIG: lambda folder, number: require_config(folder / f"run{number}", {"seed": number}),
    "metrics.jsonl": lambda folder, number: MetricsLog(folder / "metrics.jsonl", step=3 - number),
    TRUST: lambda folder, number: replace(LIMIT, steps=1 + number).save(folder),
    UNCERTAINTY: lambda folder, number: replace(MAPS, fitted_episodes=number).save(folder),
}


def held(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
def test_what_was_there_stays_where_the_disk_takes_no_more(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in range(1, 4):
        log.write(step=step)
    write(tmp_path, 0)
    before = held(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path, 1)
    assert held(tmp_path) == before
    write(tmp_path, 1)
    assert held(tmp_path) != before


def test_a_log_gone_on_with_has_no_rows_beyond_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(1, 4):
        log.write(step=step)
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # cut by a crash
    MetricsLog(path, step=2).write(step=3, again=True)
    assert [(row["step"], row.get("again")) for row in read_metrics(path)] == [(1, None), (2, None), (3, True)]
    assert path.read_text().count("\n") == 3

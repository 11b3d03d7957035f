"""Jobs side by side: a failure ends the others at once instead of after their hour is over."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from world4rl.parallel import JobError, in_parallel


def job(folder: Path, name: str, seconds: float, fails: bool) -> None:
    time.sleep(seconds)
    if fails:
        raise SystemExit(3)
    (folder / name).touch()


def test_all_jobs_are_done(tmp_path: Path) -> None:
    in_parallel(job, [(tmp_path, "a", 0.0, False), (tmp_path, "b", 0.0, False)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_failure_ends_the_jobs_before_and_after_it(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(JobError, match="exit code 3"):
        in_parallel(job, [(tmp_path, "a", 600.0, False), (tmp_path, "b", 0.0, True), (tmp_path, "c", 600.0, False)])
    assert time.monotonic() - started < 120
    assert not list(tmp_path.iterdir())

"""Jobs side by side: a failure ends the others at once instead of after their hour is over, and says its cause."""

from __future__ import annotations

import os
import signal
import time
import traceback
from pathlib import Path

import pytest

from world4rl.runs.parallel import JobError, in_parallel


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


def no_episodes(folder: Path) -> None:
    raise ValueError(f"{folder} holds no episodes" + "!" * 200_000)  # more than a pipe holds


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_cause_is_one_sentence_and_has_the_traceback_of_the_other_process() -> None:
    """An overnight run has nothing but its error.txt, which is what `traceback.format_exc` says."""
    with pytest.raises(JobError, match=r"^a parallel job failed: ValueError: store holds no episodes!+$") as failed:
        in_parallel(no_episodes, [(Path("store"),)])
    text = "".join(traceback.format_exception(failed.value))
    assert f'{__file__}", line' in text and "in no_episodes" in text
    assert text.index("in no_episodes") < text.index("JobError: a parallel job failed")


def test_a_job_that_was_killed_says_by_which_signal() -> None:
    with pytest.raises(JobError, match="was ended by signal 9"):
        in_parallel(killed, [()])

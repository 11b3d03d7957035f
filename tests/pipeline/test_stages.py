"""Stages: done once, timed whatever happens, and an interrupted run goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from world4rl.runs import stages as module
from world4rl.runs.stages import FILE, Stages, Work

EXPECTED = {"collect": 60.0, "learn": 300.0, "report": 5.0}


class Clock:
    """Time that passes only where the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 1000.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))

    def work(self, seconds: float, end: type[BaseException] | None = None) -> object:
        def work() -> None:
            self.now += seconds
            if end is not None:
                raise end

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_each_stage_is_done_once_over_several_starts(tmp_path: Path, clock: Clock) -> None:
    said: list[str] = []
    done: list[str] = []
    for _ in range(2):
        stages = Stages(tmp_path, EXPECTED, said.append)
        for name in ("collect", "learn"):
            stages.run(name, lambda name=name: (done.append(name), clock.work(EXPECTED[name])()))
    assert done == ["collect", "learn"]
    assert said[2:] == ["[1/3] collect: done before", "[2/3] learn: done before"]
    assert said[1].startswith("[2/3] learn: about 5 min; the run ends in about 5 min, at ")


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_stage_is_done_again_and_its_time_counts(
    tmp_path: Path, clock: Clock, end: type[BaseException]
) -> None:
    stages = Stages(tmp_path, EXPECTED, lambda _: None)
    stages.run("collect", clock.work(50))
    with pytest.raises(end):
        stages.run("learn", clock.work(100, end))
    again = Stages(tmp_path, EXPECTED, lambda _: None)
    assert again.done("collect") and not again.done("learn")
    again.run("learn", clock.work(200))
    assert again.done("learn") and again.wall_s == {"collect": 50.0, "learn": 300.0}
    assert json.loads((tmp_path / FILE).read_text()) == {
        "collect": {"wall_s": 50.0, "done": True},
        "learn": {"wall_s": 300.0, "done": True},
    }
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_the_estimate_follows_this_machine(tmp_path: Path, clock: Clock) -> None:
    stages = Stages(tmp_path, EXPECTED, lambda _: None)
    assert stages.remaining_s() == 365
    stages.run("collect", clock.work(120))
    assert stages.remaining_s() == pytest.approx(2 * 305)


def test_a_short_stage_says_nothing_about_the_machine(tmp_path: Path, clock: Clock) -> None:
    """Starting up dominates it: the estimate of an hour must not hang on it."""
    stages = Stages(tmp_path, {"report": 5.0, "learn": 300.0}, lambda _: None)
    stages.run("report", clock.work(50))
    assert stages.remaining_s() == 300


def test_an_unknown_stage_is_refused_before_it_works(tmp_path: Path) -> None:
    done: list[int] = []
    with pytest.raises(ValueError):
        Stages(tmp_path, EXPECTED, lambda _: None).run("tidy", lambda: done.append(1))
    assert not done


def test_a_table_of_stages_is_done_in_its_order_on_its_subject(tmp_path: Path) -> None:
    """A part of it first, as a benchmark does; what that did is not done again with the whole."""
    seen: list[str] = []
    table: dict[str, Work[list[str]]] = {
        "gather": (lambda subject: subject.append("gathered"), 10),
        "learn": (lambda subject: subject.append("learned"), 20),
    }
    for part in ({"gather": table["gather"]}, table):
        stages = Stages.of(tmp_path, table)
        stages.do(part, seen)
    assert seen == ["gathered", "learned"] and stages.remaining_s() == 0
    assert Stages.of(tmp_path / "other", table).remaining_s() == 30

"""The `world4rl` commands of pages and examples run as they stand there, page by page, in small amounts, with small
networks.

A new page with such commands needs a walk below; a command that cannot run in a test, a reason in NOT_RUN.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from not_run import NOT_RUN
from pages import Command, commands
from prepared import prepare, small_presets

from world4rl.cli import main
from world4rl.commands.registry import find

WALKS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("install.md",): (),
    ("quick_start.md",): (),
    ("first_recording.md",): ("bags",),
    ("record.md",): ("bags",),
    ("lerobot.md",): ("data/train", "data/pick", "pick.yaml"),
    ("train.md", "refine.md"): ("data/train", "runs/demo"),
    ("play.md",): ("runs/demo", "data/train", "models", "push.csv"),
    ("measures.md",): ("runs/demo", "data/check", "models"),
    ("deploy.md",): ("data/check", "models"),
    ("stable_baselines3_ppo.py",): ("models/sb3",),
    ("results.md",): ("runs/seed0", "runs/seed1"),
    ("metaworld.md", "metaworld_results.md", "metaworld_earlier.md"): (),
}
"""Pages whose commands run one after the other in one folder, and what they presuppose there."""
REFUSED = {
    "world4rl dataset import-lerobot data/pick --out data/pick-store --contract pick.yaml": "it lists what is missing",
}
"""Commands that end with code 2, as their page says."""
AMOUNTS = {"--episodes": "2", "--rounds": "1", "--real-episodes": "2", "--seeds": "0", "--tasks": "drawer-close"}
"""Options whose values, one or more, are amounts, and what stands in for them."""
ADDED = {"workers": "1", "fresh": "1"}
"""Options that every command with such an option gets."""
RUNNABLE = [command for command in commands("world4rl") if command.text not in NOT_RUN]


def shrunk(words: Sequence[str]) -> list[str]:
    """The same command with less of everything."""
    found, taken = list[str](), False
    for word in words:
        taken = taken and not word.startswith("--")
        if word in AMOUNTS:
            found, taken = [*found, word, AMOUNTS[word]], True
        elif not taken:
            found.append(re.sub(r"(\.steps|_episodes)=\d+", r"\1=4", word))
    command = find(found)
    options = inspect.signature(command[1].load()).parameters if command else {}
    return found + [word for name, value in ADDED.items() if name in options for word in (f"--{name}", value)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with small presets; trainings side by side go one after the other, which starts no
    processes."""

    def one_by_one(work: Callable[..., None], jobs: Sequence[tuple[Any, ...]]) -> None:
        for job in jobs:
            work(*job)

    monkeypatch.setattr("world4rl.presets.PRESETS_DIR", small_presets(tmp_path / "presets"))
    for module in ("loop.stages", "pipeline", "benchmark.metaworld"):
        monkeypatch.setattr(f"world4rl.{module}.in_parallel", one_by_one)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.parametrize("walk", WALKS, ids=lambda pages: "+".join(pages))
def test_commands_of_a_page_run(walk: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "metaworld.md" in walk and importlib.util.find_spec("metaworld") is None:
        pytest.skip("needs the optional library metaworld")
    prepare(folder, *WALKS[walk])
    own = [command for page in walk for command in RUNNABLE if command.page == page]
    assert own, f"{walk} has no commands to run"
    for command in own:
        code = main(shrunk(command.words[1:]))
        said = capsys.readouterr()
        assert code == (2 if command.text in REFUSED else 0), f"{command}\n{said.out}\n{said.err}"


def test_every_command_runs_or_has_a_reason() -> None:
    walked = {page for walk in WALKS for page in walk}
    left: list[Command] = [command for command in RUNNABLE if command.page not in walked]
    assert not left, f"these pages need a walk in {__name__}.WALKS: {[*map(str, left)]}"
    assert REFUSED.keys() <= {command.text for command in RUNNABLE}, "REFUSED names a command that no page has"


def test_parts_of_a_run_that_lines_name_are_there(folder: Path) -> None:
    """Those of launch files and services too, which nothing here starts."""
    prepare(folder, "runs/demo")
    named = [(command, path) for command in commands() for path in re.findall(r"runs/demo/[\w/]+", command.text)]
    missing = [str(command) for command, path in named if not (folder / path).exists()]
    assert named and not missing, f"a finished run has no such part: {missing}"

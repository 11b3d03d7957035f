"""Every line of the pages' bash blocks, and every command that an example names, is one that a test knows what to do
with, and names things that exist."""

from __future__ import annotations

import argparse
import functools
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from not_run import NOT_RUN
from pages import EXAMPLES, PAGES, ROOT, Command, commands, commands_of, example_commands

from world4rl.cli import main
from world4rl.commands.registry import Command as Registered

TESTED = {"world4rl", "ros2", "make", "python", "torchrun", "accelerate"}
"""First words of commands that a test of this folder runs, or reads the options of."""
OTHERS = {
    "pip",
    "pytest",
    "rosdep",
    "python3",
    "touch",
    "cp",
    "cat",
    "source",
    "deactivate",
    "export",
    "sudo",
    "sbatch",
}
OTHERS |= {"uname", "ulimit", "cpupower", "chronyc", "for", "done", "enclave=/world4rl/$(basename"}
"""First words of lines for the reader's own system: only the files of this project that they name are looked for."""
ELLIPSIS = "..."


class Parsed(Exception):
    """The options were read; the program goes no further."""


@pytest.fixture
def only_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs and commands of `world4rl` end with `Parsed` once their real parsers have taken their options."""
    parse, load = argparse.ArgumentParser.parse_args, Registered.load

    def parse_args(self: argparse.ArgumentParser, *args: Any, **named: Any) -> None:
        parse(self, *args, **named)
        raise Parsed

    def loaded(self: Registered) -> Any:
        @functools.wraps(load(self))
        def ends(*_: Any, **__: Any) -> None:
            raise Parsed

        return ends

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(Registered, "load", loaded)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def start_program(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As `python WORDS` in the repository."""
    monkeypatch.chdir(ROOT)
    if words[0] == "-m":
        monkeypatch.setattr(sys, "argv", words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")


def test_every_line_is_of_a_known_kind() -> None:
    unknown = [str(command) for command in commands() if command.words[0] not in TESTED | OTHERS]
    assert not unknown, f"no test looks at these; if none can, their first words go into OTHERS: {unknown}"
    assert {command.words[0] for command in commands()} >= OTHERS, "OTHERS has a word that no line begins with"


def test_every_reason_not_to_run_belongs_to_a_command() -> None:
    assert NOT_RUN.keys() <= {command.text for command in commands()}, "NOT_RUN names a command that no page has"
    for first in ("torchrun", "accelerate"):
        assert {command.text for command in commands(first)} <= NOT_RUN.keys()


@pytest.mark.parametrize("text", [text for text in NOT_RUN if ELLIPSIS not in text])
def test_options_of_what_does_not_run_are_read(text: str, only_parse: None, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Command("", text).words
    if words[0] == "world4rl" and words[1] != "run":
        with pytest.raises(Parsed):
            main(words[1:])
    elif words[0] in ("torchrun", "accelerate"):
        with pytest.raises(Parsed):
            main(words[words.index("world4rl") + 1 :])
    else:
        from world4rl_bringup.run import parse

        with pytest.raises(Parsed):
            parse(words[2:])


PROGRAMS = [command for command in commands("python") if command.text not in NOT_RUN]
NEED_ROS = ("world4rl_bringup.policies_node", "tests/graph/write_policies.py")


@pytest.mark.parametrize("command", [c for c in PROGRAMS if not set(c.words) & set(NEED_ROS)], ids=str)
def test_options_of_programs_are_read(command: Command, only_parse: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Parsed):
        start_program(command.words[1:], monkeypatch)


@pytest.mark.ros
@pytest.mark.parametrize("command", [c for c in PROGRAMS if NEED_ROS[0] in c.words], ids=str)
def test_options_of_nodes_are_read(command: Command, only_parse: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Parsed):
        start_program(command.words[1:], monkeypatch)


@pytest.mark.parametrize("command", commands("make"), ids=str)
def test_make_has_target_and_variables(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    for word in command.words[1:]:
        name, equals, _ = word.partition("=")
        known = re.search(rf"^{name} \?=", makefile, re.M) if equals else name in targets
        assert known, f"{command}: the Makefile has no {name}"


def test_files_of_the_project_that_lines_name_exist() -> None:
    top = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", "install", "log", "runs"}
    for command in commands():  # a package's extras follow it in brackets
        for word in (word.rpartition("=")[2].removeprefix("./").partition("[")[0] for word in command.words):
            if Path(word).parts[:1] and Path(word).parts[0] in top and not word.startswith("benchmarks/results/"):
                assert (ROOT / word).exists(), f"{command}: there is no {word}"


def test_a_block_becomes_commands() -> None:
    """Guards the reading itself: pages that hold nothing would pass for ever."""
    page = "```bash\nA=1 world4rl dataset \\\n    info a   # why\n# alone\nmake x && make y\n```\n"
    page += "text\n   ```bash\n   ls\n   ```\n"
    found = commands_of(page, "page.md")
    assert [c.text for c in found] == ["A=1 world4rl dataset info a", "make x", "make y", "ls"]
    assert found[0].words == ["world4rl", "dataset", "info", "a"]
    program = '"""What it is.\n\n    ls a  # why\n\nMore.\n"""\n'
    script = "#!/bin/bash\n# What it is.\n#   ls b\n#SBATCH --time=1\nset -e\n\n#   ls c\n"
    assert [c.text for c in example_commands(program, "a.py") + example_commands(script, "a.sh")] == ["ls a", "ls b"]
    assert {path.name for path in EXAMPLES} == {command.page for command in commands()} - {page.name for page in PAGES}
    assert len(commands("world4rl")) > 50 and len(commands("ros2")) > 40

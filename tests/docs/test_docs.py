"""What README and the pages name exists: files behind links, commands, launch files, modes, launch arguments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import PAGES, ROOT

from world4rl.commands.registry import COMMANDS
from world4rl_bringup.graph import MODES

GROUPS = {name[0] for name in COMMANDS if len(name) == 2}
LAUNCH_FILES = {path.name for path in (ROOT / "src/world4rl_bringup/launch").glob("*.launch.py")}
UPSTREAM = {"franka.launch.py"}  # franka_ros2's


def _code(text: str) -> str:
    """All code of a page, continued lines joined, one piece per line."""
    fenced = re.findall(r"```[a-z]*\n(.*?)```", text, re.S)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    return "\n".join([*fenced, *inline]).replace("\\\n", " ")


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in map(_anchor, headings), f"{page.name}: no heading for {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    for words in re.findall(r"(?:^|&& )world4rl +([a-z][\w-]*(?: +[a-z][\w-]*)?)", _code(page.read_text()), re.M):
        name = tuple(words.split())
        name = name[:2] if name[0] in GROUPS else name[:1]
        assert name in COMMANDS, f"{page.name} names `world4rl {' '.join(name)}`, there are {sorted(COMMANDS)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_launch_files_modes_and_their_arguments_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\b(\w+\.launch\.py)", text))
    assert named <= LAUNCH_FILES | UPSTREAM, f"{page.name} names launch files that are not there"
    call = r"(?:ros2 launch world4rl_bringup|world4rl run|world4rl_bringup\.run) +([a-z]\w*)(?:\.launch\.py)?([^#\n]*)"
    for mode, rest in re.findall(call, _code(text)):
        assert mode in MODES, f"{page.name} names the mode {mode}, there are {sorted(MODES)}"
        unknown = set(re.findall(r"(\w+):=", rest)) - set(MODES[mode].options)
        assert not unknown, f"{page.name}: mode {mode} does not read {unknown}"


def test_the_checks_above_see_what_they_should() -> None:
    """Guards the patterns: pages that name nothing would pass for ever."""
    code = "\n".join(_code(page.read_text(encoding="utf-8")) for page in PAGES)
    assert set(re.findall(r"world4rl run (\w+)", code)) >= {"sim_arm", "deploy_sim"}
    assert set(re.findall(r"\b(\w+\.launch\.py)", code)) >= LAUNCH_FILES - UPSTREAM
    for name in (("dataset", "build"), ("train", "world-model"), ("refine",), ("evaluate",)):
        assert "world4rl " + " ".join(name) in code

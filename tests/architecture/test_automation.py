"""Workflows and hooks only call what a developer calls: their files parse, and what they name exists."""

from __future__ import annotations

import re
from typing import Any

import yaml
from sources import ROOT

WORKFLOW = ROOT / ".github/workflows/ci.yaml"
TARGETS = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def _load(path: Any) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def _commands(text: str) -> tuple[set[str], set[str]]:
    """Make targets and files of the repository that a shell text calls."""
    return set(re.findall(r"\bmake ([a-z][\w-]*)", text)), set(re.findall(r"(?:^|\s)((?:\.ci|scripts)/[\w./-]+)", text))


def test_jobs_cover_what_the_readme_promises() -> None:
    jobs = _load(WORKFLOW)["jobs"]
    assert jobs["ros"]["strategy"]["matrix"]["distribution"] == ["humble", "jazzy", "kilted"]
    assert jobs["ros"]["container"] == "ros:${{ matrix.distribution }}-ros-base"
    assert jobs["pip"]["strategy"]["matrix"]["python"] == ["3.10", "3.11", "3.12", "3.13"]
    assert all(job["timeout-minutes"] <= 90 for job in jobs.values())


def test_every_job_runs_the_project_s_own_commands() -> None:
    for name, job in _load(WORKFLOW)["jobs"].items():
        text = "\n".join(step.get("run", "") for step in job["steps"])
        targets, files = _commands(text)
        assert targets | files, f"job {name} runs nothing of this repository"
        assert targets <= TARGETS, f"job {name}: make {sorted(targets - TARGETS)}"
        assert all((ROOT / file).is_file() for file in files), f"job {name}: {files}"


def test_what_ci_runs_exists() -> None:
    targets, _ = _commands((ROOT / ".ci/run").read_text(encoding="utf-8"))
    assert {"lint", "docs", "test"} <= targets <= TARGETS


def test_hooks_use_the_environment_of_make_setup() -> None:
    """So that their versions are those of constraints.txt and are written down once."""
    (repo,) = _load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    tools = {hook["id"]: hook for hook in repo["hooks"]}
    assert set(tools) == {"ruff", "ruff-format", "mypy"}
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for hook in tools.values():
        assert hook["language"] == "system" and hook["entry"].startswith(".venv/bin/")
        program = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert re.search(rf"^{program}==", pinned, re.M), f"{program} is not pinned"

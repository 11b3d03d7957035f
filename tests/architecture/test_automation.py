"""Workflows and hooks only call what a developer calls: their files parse, and what they name exists."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
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


def test_the_slurm_job_hands_its_processors_on_to_every_task(tmp_path: Path) -> None:
    """srun has not taken them over from sbatch since Slurm 22.05: training would run on one. Stands in for Slurm."""
    (tmp_path / "bin").mkdir()
    for name, text in {"srun": 'echo "$@"', "scontrol": "echo node1", "activate": ""}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_CPUS_PER_TASK": "12"}
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "WORLD4RL_VENV": str(tmp_path), **job}
    script = [ROOT / "examples/slurm_train.sh", "data/train", "models/world_model", "--preset", "base"]
    ran = subprocess.run(["bash", *script], env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    before, _, after = ran.stdout.partition(" torchrun ")
    assert "--cpus-per-task=12" in before.split()
    assert after.strip().endswith("train world-model --store data/train --out models/world_model --preset base")

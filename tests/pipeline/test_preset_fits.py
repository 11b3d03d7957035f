"""A shipped preset for other tasks than the store's is told in one line, and used all the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from world4rl.cli import main
from world4rl.commands.common import tell_other_preset
from world4rl_data.contract import TaskContract
from world4rl_data.store import EpisodeStore
from world4rl_sim.metaworld.names import load_contract

FRANKA, METAWORLD = TaskContract.load("franka_sim_press"), load_contract("metaworld_32")


@pytest.mark.parametrize(
    ("preset", "contract", "told"),
    [
        ("metaworld/tiny", FRANKA, "is made for Meta-World's tasks, .* contract franka_sim_press: --preset tiny fits"),
        ("base", METAWORLD, "other tasks than Meta-World's, .* contract metaworld_32: --preset metaworld/base fits"),
        ("tiny", FRANKA, ""),
        ("metaworld/tiny", METAWORLD, ""),
        ("mine.yaml", METAWORLD, ""),
    ],
)
def test_a_preset_of_other_tasks_is_told(
    preset: str, contract: TaskContract, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_other_preset(preset, EpisodeStore.create(tmp_path / "store", contract))
    text = capsys.readouterr().out
    assert text.count("\n") == bool(told)
    if told:
        assert re.search(told, text)


@pytest.mark.parametrize("command", ["train", "refine"])
def test_train_and_refine_tell_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    EpisodeStore.create("store", METAWORLD).close()
    models = ("policy", "world-model", "reward", "judge-world-model", "judge-reward")
    words = {"train": ["train", "bc"], "refine": ["refine", *(w for m in models for w in (f"--{m}", m))]}[command]
    words += ["--check", "store"] if command == "refine" else []
    assert main([*words, "--store", "store", "--out", "out"]) == 2
    told = capsys.readouterr()
    assert "--preset metaworld/tiny fits" in told.out and "store holds no episodes" in told.err

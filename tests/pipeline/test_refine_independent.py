"""`world4rl refine` asks that judge and check are independent of what they confirm, before anything is dreamed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from dream_rig import press_run, press_store, reward_model

from world4rl.cli import main
from world4rl.commands.refine import require_independent
from world4rl.errors import CommandError
from world4rl.runs.record import checkpoint_digest
from world4rl_data.store import EpisodeStore
from world4rl_wm.checkpoint import EPISODES
from world4rl_wm.checkpoint_identity import known_by

ROLES = {"policy": "filtered_bc", "world-model": "world_model_a", "judge-world-model": "world_model_b"}
ROLES |= {"reward": "reward_a", "judge-reward": "reward_b"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = press_run(tmp_path / "run", store=False)
    judge = reward_model().requires_grad_(False)
    next(judge.parameters()).add_(1.0)
    judge.save(run / "checkpoints" / "reward_b")
    press_store(run / "stores" / "practice", (5, 3), won=(0,))
    press_store(run / "stores" / "check", (4, 6), won=(1,))
    return run


def refused(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What refinement answers; nothing is there of it afterwards."""
    options = {name: run / "checkpoints" / folder for name, folder in ROLES.items()}
    options |= {"store": run / "stores" / "practice", "check": run / "stores" / "check", "out": run / "refined"}
    assert main(["refine", *(word for name, path in options.items() for word in (f"--{name}", str(path)))]) == 2
    assert not list(run.glob("refined*"))
    return capsys.readouterr().err


@pytest.mark.parametrize("model", ["world-model", "reward"])
def test_a_judge_with_the_dreams_own_weights_is_refused(
    run: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own, judge = (run / "checkpoints" / ROLES[role] for role in (model, f"judge-{model}"))
    shutil.rmtree(judge)
    shutil.copytree(own, judge)
    assert f"--judge-{model} {judge} has the weights of --{model} {own}" in refused(run, capsys)


def rewritten(path: Path, seeds: tuple[int | None, ...], task: str = "press_button") -> None:
    """The store with its episodes' start states and task changed; their data stay."""
    old = EpisodeStore.open(path)
    episodes = [replace(old.episode(i), seed=seed, task=task) for i, seed in enumerate(seeds)]
    shutil.rmtree(path)
    with EpisodeStore.create(path, old.contract) as store:
        for episode in episodes:
            store.append(episode)


def test_a_check_with_episodes_of_the_store_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EpisodeStore.open(run / "stores" / "check") as check:
        check.append(replace(EpisodeStore.open(run / "stores" / "practice").episode(0), episode_id="renamed"))
    assert "shares 1 of its 3 episodes with --store" in refused(run, capsys)


def test_a_check_from_start_states_of_the_store_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewritten(run / "stores" / "practice", (7, None))
    rewritten(run / "stores" / "check", (None, 7))
    assert "shares 1 of its 2 start states with --store" in refused(run, capsys)


@pytest.mark.parametrize("model", ["world-model", "judge-world-model"])
def test_a_check_that_a_model_has_learned_from_is_refused(
    run: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would recognise what it has seen, whatever store the policy's successes come from."""
    checkpoint, check = run / "checkpoints" / ROLES[model], EpisodeStore.open(run / "stores" / "check")
    (checkpoint / EPISODES).write_text(json.dumps([known_by(check.infos[1])]))
    assert f"--{model} {checkpoint} has learned from 1 of the 2 episodes of --check" in refused(run, capsys)


def test_unknown_start_states_and_those_of_another_task_are_not_shared(run: Path) -> None:
    rewritten(run / "stores" / "practice", (7, None))
    rewritten(run / "stores" / "check", (7, None), task="push_cube")
    names = {role.replace("-", "_"): run / "checkpoints" / folder for role, folder in ROLES.items()}
    digests = {name: checkpoint_digest(path) for name, path in names.items()}
    require_independent(names, digests, *(EpisodeStore.open(run / "stores" / name) for name in ("practice", "check")))


def test_weights_are_read_once(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    read: list[str] = []

    def digest(path: Path) -> str:
        read.append(path.name)
        return checkpoint_digest(path)

    def stop(*_: object, **__: object) -> None:
        raise CommandError("far enough")

    monkeypatch.setattr("world4rl.runs.record.checkpoint_digest", digest)
    monkeypatch.setattr("world4rl.runs.record.Record", stop)
    assert "far enough" in refused(run, capsys)
    assert sorted(read) == sorted(ROLES.values())

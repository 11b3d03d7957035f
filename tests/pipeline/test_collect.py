"""Collecting episodes: what it leaves of the process that asks for them, and how it ends when a worker does."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from world4rl.episodes import collect as collecting
from world4rl.episodes.collect import Behaviour, collect
from world4rl.episodes.simulation import contract_for
from world4rl_data.contract import TaskContract
from world4rl_data.workers import WorkerError

TASK = "press_button"


class Deadly:
    """Ends the process that unpacks it, as the kernel does for want of memory."""

    kind = "random"

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


class Broken:
    """Fails in the process that unpacks it."""

    kind = "random"

    def __reduce__(self) -> tuple[Any, ...]:
        return _Failing, ()


class _Failing:
    noise, checkpoint, variant = 0.0, None, 0

    @property
    def kind(self) -> str:
        raise ValueError("no such behaviour")


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to stand-ins for environments; an episode is the number of threads that it had."""
    happened: list[str] = []

    def make_env(task: str, contract: TaskContract) -> SimpleNamespace:
        happened.append(f"made {task}")
        return SimpleNamespace(contract=contract, close=lambda: happened.append(f"closed {task}"))

    monkeypatch.setattr(collecting, "make_env", make_env)
    monkeypatch.setattr(collecting, "_held", {})
    monkeypatch.setattr(collecting, "run_episode", lambda *_: torch.get_num_threads())
    return happened


def episodes(task: str, behaviour: Any, seeds: int = 2, workers: int = 1) -> list[Any]:
    return list(collect(task, contract_for(TASK), behaviour, range(seeds), workers, progress=False))


def test_a_worker_that_died_is_told_with_what_to_do() -> None:
    with pytest.raises(WorkerError, match="fewer --workers"):
        episodes(TASK, Deadly(), workers=2)


def test_a_fault_in_a_worker_keeps_its_kind_and_its_traceback() -> None:
    with pytest.raises(ValueError, match="no such behaviour") as failed:
        episodes(TASK, Broken(), workers=2)
    assert "in kind" in str(failed.value.__cause__), "the other process's traceback"


def test_only_the_environment_in_use_is_kept_and_it_is_made_once(simulated: list[str]) -> None:
    for task in ("a", "a", "b", "a"):
        episodes(task, Behaviour("random"))
    assert simulated == ["made a", "closed a", "made b", "closed b", "made a"]
    collecting._close_held()
    assert simulated[-1] == "closed a"


def test_a_policy_acts_on_one_thread_and_the_caller_keeps_its_own(simulated: list[str]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert episodes(TASK, Behaviour("policy", checkpoint=Path("policy"))) == [1, 1]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)

"""`collect` and `evaluate` with a stand-in for the simulator: whose episodes and whose figures the files hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from world4rl.cli import main
from world4rl.runs.record import noted
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode, Outcome
from world4rl_data.store import EpisodeStore

STARTS = ["--first", "200"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A checkpoint folder; nobody acts by its weights here."""
    folder = tmp_path / "models" / "bc"
    folder.mkdir(parents=True)
    TaskContract.load("franka_sim_press").save(folder / "contract.yaml")
    (folder / "config.yaml").write_text("kind: policy\n")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def trained_anew(policy: Path) -> None:
    (policy / "model.safetensors").write_bytes(b"other weights")


def interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The start states that were simulated; three of four succeed."""
    from world4rl.episodes.collect import Evaluation

    simulated: list[int] = []

    def evaluate(task: str, contract: TaskContract, policy: Path, seeds: range, *_: Any) -> Evaluation:
        simulated.extend(seeds)
        return Evaluation(list(seeds), [s % 4 != 0 for s in seeds], [7 for _ in seeds])

    monkeypatch.setattr("world4rl.episodes.collect.evaluate", evaluate)
    return simulated


def test_evaluation_never_tells_the_success_of_another_policy(
    policy: Path, evaluated: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = ["evaluate", "--policy", str(policy), *STARTS, "--episodes"], policy.with_name("bc.evaluation.json")
    assert main([*words, "8"]) == 0
    trained_anew(policy)
    assert main([*words, "8"]) == 2
    assert "remove it to start over" in capsys.readouterr().err
    shutil.rmtree(out.with_suffix(".run"))
    evaluated.clear()
    with monkeypatch.context() as patch:
        patch.setattr("world4rl.episodes.collect.evaluate", interrupted)
        assert main([*words, "4"]) == 130, "before anything of the new policy is saved"
    assert main([*words, "4"]) == 0
    assert evaluated == [200, 201, 202, 203]
    assert "3 of 4 (75.0%" in capsys.readouterr().out
    assert json.loads(out.read_text())["seeds"] == evaluated
    assert main([*words, "4"]) == 0 and len(evaluated) == 4, "the same command again has nothing to do"


def test_evaluation_refuses_start_states_that_were_not_asked(
    policy: Path, evaluated: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    words, work = ["evaluate", "--policy", str(policy), *STARTS, "--episodes"], policy.with_name("bc.evaluation.run")
    assert main([*words, "8"]) == 0
    (work / "command.yaml").unlink()
    assert main([*words, "4", "--first", "201"]) == 2
    assert "holds other start states than asked" in capsys.readouterr().err


def test_an_evaluation_goes_on_where_more_episodes_are_asked(
    policy: Path, evaluated: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the same policy, wherever it lies now; of fewer episodes the figures are those of the first."""
    words, out = ["evaluate", *STARTS, "--out", str(policy.parents[1] / "bc.json"), "--policy"], policy.parents[1]
    assert main([*words, str(policy), "--episodes", "4"]) == 0
    moved = policy.rename(out / "moved")
    assert main([*words, str(moved), "--episodes", "8"]) == 0
    assert evaluated == list(range(200, 208)) and "6 of 8" in capsys.readouterr().out
    assert json.loads((out / "bc.json").read_text())["seeds"] == evaluated
    record = yaml.safe_load((out / "bc.run" / "command.yaml").read_text())
    assert record["settings"]["episodes"] == 8 and record["settings"]["policy"] == str(moved)
    assert main([*words, str(moved), "--episodes", "5"]) == 0
    assert len(evaluated) == 8 and "3 of 5" in capsys.readouterr().out
    assert json.loads((out / "bc.json").read_text())["seeds"] == [200, 201, 202, 203, 204]
    assert main([*words, str(moved), "--episodes", "8", "--noise", "0.1"]) == 2
    assert "settings.noise: 0.0 there, 0.1 asked" in capsys.readouterr().err


def episode(contract: TaskContract, seed: int, policy: Path, length: int = 4) -> Episode:
    streams = {s.name: (length + 1, s.height, s.width, 3) for s in contract.images}
    return Episode(
        images={name: np.zeros(shape, np.uint8) for name, shape in streams.items()},
        proprio=np.zeros((length + 1, contract.proprio_dim), np.float32),
        actions=np.zeros((length, contract.action_dim), np.float32),
        action_sources=np.full(length, 3, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) * 100_000_000,
        task="press_button",
        source="policy",
        outcome=Outcome.FAILURE,
        success_index=None,
        contract_hash=contract.hash,
        episode_id=f"policy-{policy.name}-0.1-{seed}",
        seed=seed,
        policy_id=policy.name,
    )


@pytest.fixture
def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many episodes are collected before Ctrl-C."""
    limit = [100]

    def collect(task: str, contract: TaskContract, behaviour: Any, seeds: list[int], *_: Any) -> Iterator[Episode]:
        for number, seed in enumerate(seeds):
            if number == limit[0]:
                raise KeyboardInterrupt
            yield episode(contract, seed, behaviour.checkpoint)

    monkeypatch.setattr("world4rl.episodes.collect.collect", collect)
    return limit


def collect_words(policy: Path) -> list[str]:
    words = ["collect", "--out", str(policy.parent / "store"), "--task", "press_button", "--episodes", "6"]
    return [*words, *STARTS, "--behaviour", "policy", "--policy", str(policy)]


def test_interrupted_store_refuses_another_policy_of_the_name(
    policy: Path, interrupt_after: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    store = policy.parent / "store"
    interrupt_after[0] = 3
    assert main(collect_words(policy)) == 130
    assert len(EpisodeStore.open(store)) == 3
    interrupt_after[0] = 100
    trained_anew(policy)
    assert main(collect_words(policy)) == 2
    assert "another policy named 'bc'" in capsys.readouterr().err
    (policy / "model.safetensors").write_bytes(b"weights")
    assert main(collect_words(policy)) == 0, "the same policy goes on"
    assert len(EpisodeStore.open(store)) == 6
    assert [row["results"] for row in noted(store)] == [
        {"missing": 6},
        {"missing": 3},
        {"collected": 3, "successful": 0, "in_store": 6},
    ]


def test_policy_that_left_no_episode_does_not_block_its_name(policy: Path, interrupt_after: list[int]) -> None:
    interrupt_after[0] = 0
    assert main(collect_words(policy)) == 130
    trained_anew(policy)
    interrupt_after[0] = 2
    assert main(collect_words(policy)) == 130
    interrupt_after[0] = 100
    assert main(collect_words(policy)) == 0
    (policy / "model.safetensors").write_bytes(b"weights")
    assert main(collect_words(policy)) == 2


@pytest.mark.parametrize("command", ["collect", "evaluate"])
def test_another_kind_of_checkpoint_is_refused_before_anything_is_written(
    policy: Path, command: str, evaluated: list[int], interrupt_after: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    (policy / "config.yaml").write_text("kind: world_model\n")
    words = collect_words(policy) if command == "collect" else ["evaluate", "--policy", str(policy)]
    assert main(words) == 2
    assert capsys.readouterr().err.endswith(
        f"{policy} holds a world_model checkpoint, but a policy is needed here: "
        "give the folder of `world4rl train bc` or `refine`.\n"
    )
    assert list(policy.parent.iterdir()) == [policy] and not evaluated


def test_no_more_start_states_are_used_than_are_set_apart(
    policy: Path, evaluated: list[int], interrupt_after: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Those behind them are of another purpose, some of them what the judge chooses a policy by."""
    store = ["collect", "--out", str(policy.parent / "store"), "--task", "press_button"]
    for words, purpose in (
        ([*store, "--behaviour", "random", "--episodes", "5001"], "random"),
        ([*store, "--behaviour", "policy", "--policy", str(policy), "--episodes", "10001"], "train"),
        (["evaluate", "--policy", str(policy), "--episodes", "10001"], "evaluate"),
    ):
        assert main(words) == 2
        assert f"start states for {purpose}: at most" in capsys.readouterr().err
    assert list(policy.parent.iterdir()) == [policy] and not evaluated

"""A refinement that is killed (SIGKILL) again and again ends with the policy of one that was left alone."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from micro_refinement import CONFIG, curve, micro_refinement, micro_store
from safetensors.torch import load_file

from world4rl.refinement import rehearsal
from world4rl.refinement.checkpoint_choice import kept_checkpoint, kept_checkpoints
from world4rl_wm.training.state import STATE

PATIENCE_S = 300.0


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order would differ in the last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def save_result(folder: Path) -> None:
    micro_refinement(folder).policy.save(folder / "result")


def kill_after(rows: int, folder: Path) -> None:
    """Start the refinement and kill it as soon as its log has so many rows."""
    # Forked, so that no second interpreter must load torch; the refinement uses one thread.
    process = multiprocessing.get_context("fork").Process(target=save_result, args=(folder,))
    process.start()
    deadline = time.monotonic() + PATIENCE_S
    while len(curve(folder / "out")) < rows and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL and not (folder / "result").exists(), "it had ended before"


def test_the_same_policy_and_the_same_curve(tmp_path: Path) -> None:
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    for folder in (killed, straight):
        micro_store(folder)
    save_result(straight)
    for rows in (1, 3, 5, 7):  # the start policy's alone; two iterations; one after a look of the judge's; near the end
        kill_after(rows, killed)
        assert len(curve(killed / "out")) < CONFIG.ppo.iterations + 1
    save_result(killed)
    expected = curve(straight / "out")
    assert [row["iteration"] for row in expected] == list(range(CONFIG.ppo.iterations + 1))
    assert curve(killed / "out") == expected and expected[-1]["imagined_imitated"] > 0
    assert list(kept_checkpoints(killed / "out")) == [3, 6, 8]
    for name in ("result", kept_checkpoint(Path("out"), 6)):
        files = [load_file(folder / name / "model.safetensors") for folder in (killed, straight)]
        assert all(torch.equal(weight, files[1][key]) for key, weight in files[0].items()), name
    states = [load_file(folder / "out" / STATE) for folder in (killed, straight)]
    assert states[0].keys() == states[1].keys()
    assert not [key for key, value in states[0].items() if not torch.equal(value, states[1][key])]


def test_what_is_over_is_not_done_again(tmp_path: Path) -> None:
    """Not a finished refinement, nor one that the distance from the start has ended; but whatever is asked anew is."""
    micro_store(tmp_path)
    short = replace(CONFIG, ppo=replace(CONFIG.ppo, iterations=3))
    first = micro_refinement(tmp_path, short)
    rows = (tmp_path / "out" / "metrics.jsonl").read_text()
    again = micro_refinement(tmp_path, short)
    assert (tmp_path / "out" / "metrics.jsonl").read_text() == rows
    assert again.to_dict() == first.to_dict() and first.iteration == 3
    weights = first.policy.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in again.policy.state_dict().items())

    ended = replace(CONFIG, selection=replace(CONFIG.selection, max_start_kl=-1.0))
    for _ in range(2):
        assert "gone too far" in micro_refinement(tmp_path, ended).reason
        assert [row["iteration"] for row in curve(tmp_path / "out")] == [0, 1, 2, 3]


def test_what_decides_the_outcome_makes_it_another_refinement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of one with another seed, or chosen from other start states, is none to go on with."""

    def stopped(folder: Path, state: object, identity: str, share: object) -> None:
        raise InterruptedError(identity)

    def identity(**given: Any) -> str:
        with pytest.raises(InterruptedError) as found:
            micro_refinement(tmp_path, **given)
        return str(found.value)

    micro_store(tmp_path)
    monkeypatch.setattr(rehearsal, "RefinementJournal", stopped)
    other = replace(CONFIG, ppo=replace(CONFIG.ppo, clip=0.1))
    found = [identity(), identity(seed=4), identity(judged_from=[1, 0]), identity(config=other)]
    assert len(set(found)) == len(found) and identity() == found[0]

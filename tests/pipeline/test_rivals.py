"""The benchmark of rivals: what its table says follows from the outcomes, every rival dreams, and budgets are kept."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "wm")]

from made_episodes import made_episode, made_store
from rivals_parts.budget import SCHEDULE, Budget
from rivals_parts.contest import Contest, run
from rivals_parts.rival import CopyLastFrame
from rivals_parts.scores import Dreamed, open_loop
from rivals_parts.table import _interval, _j, table
from rivals_parts.world_models import Regressor

from world4rl.presets import load_preset
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode
from world4rl_data.store import EpisodeStore

SMALL = [
    "world_model.denoiser.widths=[8]",
    "world_model.still_change=0.0",  # the made episodes change by less
    "world_model.training.batch_size=4",
    "world_model.training.state.steps=3",
    "reward.training.steps=4",
]


def brightening(contract: TaskContract, number: int, success_index: int | None) -> Episode:
    """A picture that gets brighter by 4 with every step."""
    steps = (40 + 4 * np.arange(9)).astype(np.uint8)
    frames = np.broadcast_to(steps[:, None, None, None], (9, 32, 32, 3))
    return made_episode(contract, number, 8, success_index, frames=frames)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    contract = TaskContract.load("franka_sim_press")
    episodes = [brightening(contract, number, 6 if number % 2 else None) for number in range(4)]
    return made_store(tmp_path_factory.mktemp("rivals") / "store", contract, episodes)


@pytest.fixture
def contest(store: EpisodeStore) -> Contest:
    return Contest(load_preset("tiny", SMALL), store, store, 0.5)


def test_the_budget_counts_computing_and_not_waiting() -> None:
    budget = Budget(0.05, spent=0.02)
    time.sleep(0.1)
    assert not budget.over and 0.4 <= budget.step / SCHEDULE < 1
    while not budget.over:
        pass
    assert budget.spent >= 0.05 and budget.step == SCHEDULE


def test_copying_errs_by_what_really_changed(store: EpisodeStore) -> None:
    """Known beforehand: 4 of 255 a step. Nothing moves by more than a camera's noise before the fourth step."""
    errors = open_loop(Dreamed.of(CopyLastFrame(), store, 4, seed=0, every=3))
    assert errors["psnr"]["1"]["mean"] == pytest.approx(20 * np.log10(255 / 4), abs=0.01)
    assert errors["psnr"]["5"]["mean"] == pytest.approx(20 * np.log10(255 / 20), abs=0.01)
    assert "15" not in errors["psnr"] and "1" not in errors["moving"]
    assert errors["moving"]["5"]["mean"] == pytest.approx(20 / 255, abs=1e-4)


def test_replays_begin_with_the_real_frame_and_keep_the_order(store: EpisodeStore) -> None:
    replay = Dreamed.of(CopyLastFrame(), store, 4, seed=0, every=3).replay
    assert replay.frames.shape == (4, 9, 6, 32, 32) and replay.real_success.tolist() == [False, True] * 2
    assert bool((replay.frames[:, :, :3] == 40).all()) and replay.success_index.tolist() == [-1, 6] * 2


def test_a_contest_is_written_after_each_rival_and_goes_on(contest: Contest, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    made = []

    def network(contest: Contest, seed: int) -> object:
        made.append(seed)
        return contest.world_model(seed, Regressor)

    makers = {"copy": lambda contest, seed: CopyLastFrame(), "regressor": network}
    run("rivals", contest, makers, [0], out)
    result = run("rivals", contest, makers, [0, 1], out)
    assert made == [0, 1] and json.loads(out.read_text())["runs"] == result["runs"]
    trained = result["runs"][1]["trained"]
    assert trained["steps"] > 0 and trained["cpu_s"] >= 0.5
    rows = table(result).splitlines()
    assert len(rows) == 4 and rows[3].startswith("| regressor | 2 |")
    other = Contest(contest.preset, contest.learned, contest.fresh, 1.0)
    with pytest.raises(SystemExit, match="other settings or data"):
        run("rivals", other, makers, [0], out)


def test_the_regressor_is_trained_on_what_it_is_asked(contest: Contest) -> None:
    """Given all else it must learn a constant change, which a network that is trained on another input would miss."""
    contest.seconds = 4.0
    rival = contest.world_model(0, Regressor)
    window = contest.windows.window(contest.windows.current[:8])
    dreamed = rival.dream(window, torch.zeros(8, 1, window.actions.shape[2]), 0, ["press"] * 8)
    error = (dreamed[:, 0].float() / 127.5 - 1 - window.target).abs().mean()
    copied = (window.context[:, -1] - window.target).abs().mean()
    assert float(error) < 0.5 * float(copied)


def test_a_world_model_of_several_tasks_is_told_which(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sampling import Sampled

    named = [brightening(store.contract, number, None) for number in range(2)]
    for episode, task in zip(named, ("lift", "push"), strict=True):
        episode.task = task
    both = made_store(tmp_path / "store", store.contract, named)
    contest = Contest(load_preset("tiny", [*SMALL, "world_model.denoiser.task_dim=4"]), both, both, 0.5)
    rival = contest.world_model(0)
    assert rival.model.config.tasks == ("lift", "push") and contest.windows.task is not None
    torch.nn.init.normal_(rival.model.task_table.vectors.weight, std=100.0)
    window = contest.windows.window(contest.windows.current[:2])
    actions = torch.zeros(2, 1, window.actions.shape[2])
    for one in (rival, Sampled(rival.model.save(tmp_path / "model"), 1, 1.0)):
        lift, push = (one.dream(window, actions, 0, [task] * 2) for task in ("lift", "push"))
        assert not torch.equal(lift, push)
    told, dream = [], rival.dream
    monkeypatch.setattr(rival, "dream", lambda *asked: told.append(asked[3]) or dream(*asked))
    Dreamed.of(rival, both, 4, seed=0)
    assert told == [["lift", "push"]]


def test_rates_of_the_table_follow_from_the_outcomes() -> None:
    row = {"outcomes": {"real": "1110000000", "dreamed": "1101000000"}}
    assert float(_j(row).mean()) == pytest.approx(2 / 3 - 1 / 7)
    perfect = {"outcomes": {"real": "1110000000", "dreamed": "1110000000"}}
    assert _interval([_j(perfect)] * 2) == "1.00 [1.00, 1.00]", "however many successes are drawn"


def test_a_recurrent_state_space_model_dreams_in_its_latent_state(contest: Contest) -> None:
    pytest.importorskip("torchrl", reason="the rival of the recurrent kind needs torchrl")
    from rivals_parts.rssm import RssmConfig, TrainedRssm, _sequences

    windows = contest.windows
    first = windows.current[windows.remaining == 8][:2]
    frames, proprio, led, inside = _sequences(windows, first, torch.tensor([8, 5]))
    assert frames.shape == (2, 12, 6, 32, 32) and inside.sum(1).tolist() == [12, 9]
    assert float(led[:, :4].abs().sum()) == 0 and torch.equal(led[0, 4], windows.actions[first[0]])
    assert torch.equal(proprio[0, 4], windows.proprio[first[0] + 1])
    rival = TrainedRssm(RssmConfig(batch_size=4), windows, 0.5, seed=0)
    window = windows.window(first)
    actions = torch.rand(2, 3, window.actions.shape[2]) * 2 - 1
    dreamed = rival.dream(window, actions, 0, ["press"] * 2)
    assert dreamed.shape == (2, 3, 6, 32, 32) and rival.trained.steps > 0
    others = rival.dream(window, torch.cat([actions[:, :1], -actions[:, 1:]], 1), 0, ["press"] * 2)
    assert torch.equal(others[:, 0], dreamed[:, 0])  # what is done later changes nothing before

"""The benchmark of proprioception: what its policies are told, and that nothing else parts them from filtered BC."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "wm")]

import proprioception
from dream_rig import CONTRACT, SIZE, policy, press_store
from finished_rig import finished_folder
from made_episodes import made_episode, made_store
from refinement_parts.proprioception import TellProprioception, evaluate, statistics, train

from world4rl.episodes import collect
from world4rl.episodes.collect import Behaviour
from world4rl.episodes.simulation import make_env
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.bc import BcOptimisation, Demonstrations, train_bc
from world4rl_sim.task_env import TaskEnv

QUICK = BcOptimisation(steps=150, batch_size=32, learning_rate=5e-3)


def told(demonstrations: Demonstrations) -> TellProprioception:
    torch.manual_seed(0)
    return TellProprioception(policy(), *statistics(demonstrations))


def test_without_a_word_of_proprioception_it_is_filtered_bc(tmp_path: Path) -> None:
    store = press_store(tmp_path / "store", won=(0, 1), after=1)
    demonstrations = Demonstrations(store, range(4), policy().history)
    network, config = told(demonstrations), BcOptimisation(steps=5, batch_size=8)
    train(demonstrations, network, config, blank=1.0, seed=3)
    cloned = train_bc(demonstrations, policy(), config, seed=3, progress=False)
    mine, theirs = dict(network.policy.named_parameters()), dict(cloned.named_parameters())
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine if name != "log_std")


def hidden_from_the_camera(path: Path) -> EpisodeStore:
    """All pictures are alike, and the first action is half of the first standardised measurement."""
    rng = np.random.default_rng(0)
    episodes = []
    for number, sign in enumerate(rng.choice([-1, 1], 60)):
        actions = np.zeros((1, CONTRACT.action_dim), np.float32)
        actions[0, 0] = 0.5 * sign
        proprio = np.full((2, CONTRACT.proprio_dim), 0.3 + 0.01 * sign, np.float32)
        frames = np.full((2, SIZE, SIZE, 3), 128, np.uint8)
        episodes.append(made_episode(CONTRACT, number, 1, 1, frames=frames, actions=actions, proprio=proprio))
    return made_store(path, CONTRACT, episodes)


@pytest.mark.parametrize("blank", proprioception.BLANK.values())
def test_it_learns_what_only_proprioception_says(tmp_path: Path, blank: float) -> None:
    store = hidden_from_the_camera(tmp_path / "store")
    demonstrations = Demonstrations(store, range(len(store)), policy().history)
    network = told(demonstrations)
    train(demonstrations, network, QUICK, blank, seed=0)
    frames = torch.full((3, network.policy.history, CONTRACT.image_channels, SIZE, SIZE), 128 / 127.5 - 1)
    measured = torch.tensor([0.29, 0.31, 0.31]).unsqueeze(1).expand(-1, CONTRACT.proprio_dim)
    action = network(frames, measured, torch.tensor([1.0, 1.0, 0.0]).unsqueeze(1))[:, 0]
    assert action[:2].tolist() == pytest.approx([-0.5, 0.5], abs=0.1)
    if blank:
        assert float(action[2]) == pytest.approx(float(demonstrations.windows.actions[:, 0].sum() / 60), abs=0.15)


class Recorded:
    """An environment that keeps the actions that it executed."""

    def __init__(self, env: TaskEnv) -> None:
        self._env, self.actions = env, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, *args: Any) -> Any:
        stepped = self._env.step(*args)
        self.actions.append(stepped[-1]["executed"])
        return stepped


def test_it_is_evaluated_as_every_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its actions are those that the pipeline's evaluation executes, unless proprioception has a say."""
    demonstrations = Demonstrations(press_store(tmp_path / "store"), range(4), policy().history)
    network = told(demonstrations).requires_grad_(False)
    network.policy.mean.weight.mul_(100)  # an untrained policy hardly moves
    saved, envs = network.policy.save(tmp_path / "policy"), []
    [episode] = collect.collect("press_button", CONTRACT, Behaviour("policy", 0.0, saved), [7], 1, progress=False)

    def recorded(*args: Any) -> Recorded:
        envs.append(Recorded(make_env(*args)))
        return envs[-1]

    monkeypatch.setattr("refinement_parts.proprioception.make_env", recorded)
    network.measured.weight.zero_()
    found = evaluate("press_button", CONTRACT, network, [7])
    ended = len(episode) if episode.success_index is None else episode.success_index
    assert found == collect.Evaluation([7], [episode.outcome == Outcome.SUCCESS], [ended])
    assert np.abs(episode.actions).mean() > 0.1
    assert np.stack(envs[0].actions) == pytest.approx(episode.actions, abs=1e-5)
    network.measured.weight.fill_(0.1)[::2] *= -1
    evaluate("press_button", CONTRACT, network, [7])
    assert np.abs(np.stack(envs[1].actions)[:5] - episode.actions[:5]).max() > 0.1


def test_a_run_is_benchmarked_and_the_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = finished_folder(tmp_path / "run", "bc.filtered_training.steps=2"), tmp_path / "result.json"
    monkeypatch.setattr(sys, "argv", ["proprioception.py", str(folder), "--out", str(out)])
    proprioception.main()
    rows = json.loads(out.read_text())["rows"]
    assert [row["policy"] for row in rows] == list(proprioception.BLANK) and rows[0]["learned"]["episodes"] == 4
    told_it = rows[0]["policy"]
    assert set(rows[0]["paired"]) == {f"{told_it}_vs_bc", f"{told_it}_vs_filtered_bc", f"refined_vs_{told_it}"}
    assert f"| press_button, seed 0 | {told_it} | 1 |" in capsys.readouterr().out
    proprioception.main()
    assert json.loads(out.read_text())["rows"] == rows


def test_a_run_that_stopped_early_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = finished_folder(tmp_path / "run", "bc.filtered_training.held_out=0.2")
    monkeypatch.setattr(sys, "argv", ["proprioception.py", str(folder), "--out", str(tmp_path / "result.json")])
    with pytest.raises(SystemExit, match="early stopping"):
        proprioception.main()

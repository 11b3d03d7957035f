"""The oracle's benchmark: the simulator keeps the dream's contract, and practice in it goes on where it was stopped."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import oracle
from finished_rig import finished_folder
from refinement_parts.practice import practice_success, practise
from refinement_parts.real_env import RealEnv, practice_seeds
from refinement_parts.runs import finished_run
from torch import Tensor

from world4rl.episodes.simulation import contract_for
from world4rl.runs.run_folder import Run
from world4rl.runs.seed_ranges import SeedRanges
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.imagination.env import ImaginationConfig

TASK = "press_button"
CONFIG = ImaginationConfig(num_envs=2, horizon=15, hits=2)


def real_env(workers: int = 1, config: ImaginationConfig = CONFIG) -> RealEnv:
    return RealEnv(TASK, contract_for(TASK), config, practice_seeds(0), workers)


@pytest.fixture(scope="module")
def env() -> Iterator[RealEnv]:
    with closing(real_env()) as found:
        yield found


def test_start_states_are_no_run_s() -> None:
    ranges = [SeedRanges(seed) for seed in (0, 1, 99)]
    assert max(last for found in ranges for _, last in found.to_dict().values()) < practice_seeds(0).start
    assert not set(practice_seeds(0)[:3]) & set(practice_seeds(1)) and practice_seeds(0)[-1] < practice_seeds(1)[0]
    with pytest.raises(ValueError, match="0 to 99"):
        practice_seeds(100)


def test_observations_are_the_last_frames_as_in_the_dream(env: RealEnv) -> None:
    first, info = env.reset(seed=1)
    assert first.shape == (2, 2, env._simulators.reset([1, 2]).shape[1], 32, 32)
    assert bool((first >= -1).all()) and bool((first <= 1).all()) and float(first.std()) > 0.1
    assert torch.equal(first[:, 0], first[:, 1]) and int(info["start"][0]) in practice_seeds(0)
    again, _ = env.reset(seed=1)
    assert torch.equal(first, again) and not torch.equal(first, env.reset(seed=2)[0])
    env.reset(seed=1)
    second = env.step(torch.ones(2, 3))[0]
    third = env.step(torch.ones(2, 3))[0]
    assert torch.equal(second[:, 0], first[:, 1]) and torch.equal(third[:, 0], second[:, 1])
    assert not torch.equal(third[:, 1], second[:, 1])


def test_success_is_the_simulator_s_and_ends_an_episode(env: RealEnv) -> None:
    """An expert acts in the first simulator alone: its button is pressed for two steps, then its time stands still."""
    first = env._simulators.envs[0]  # type: ignore[union-attr]
    expert = first.expert(0.0, np.random.default_rng(0))
    env.reset(seed=0)
    before, pressed, rows = env.steps, [], []
    for _ in range(CONFIG.horizon):
        action = torch.zeros(2, 3)
        action[0] = torch.from_numpy(np.asarray(expert()))
        rows.append(env.step(action))
        pressed.append(first.arm.success)  # type: ignore[attr-defined]
    when = pressed.index(True) + 1
    reward = torch.stack([row[1] for row in rows])
    assert reward[:, 0].nonzero().squeeze(1).tolist() == [when] and float(reward[:, 1].sum()) == 0
    terminated, truncated = (torch.stack([row[n] for row in rows]) for n in (2, 3))
    assert torch.equal(terminated, reward > 0) and torch.equal(rows[0][4]["success"], terminated[0])
    assert truncated[:, 0].sum() == 0 and truncated[:, 1].nonzero().squeeze(1).tolist() == [CONFIG.horizon - 1]
    assert all(torch.equal(row[0][0], rows[when][0][0]) for row in rows[when:])
    assert env.steps - before == when + 1 + CONFIG.horizon


def ends(horizon: int) -> tuple[list[int], list[int]]:
    """Steps in which an expert's episode of at most `horizon` ends in success, and in which it is truncated."""
    with closing(real_env(config=replace(CONFIG, num_envs=1, horizon=horizon))) as env:
        env.reset(seed=0)
        expert = env._simulators.envs[0].expert(0.0, np.random.default_rng(0))  # type: ignore[union-attr]
        rows = [env.step(torch.from_numpy(np.asarray(expert())).unsqueeze(0)) for _ in range(env.config.max_steps)]
    return [n for n, row in enumerate(rows, 1) if row[2]], [n for n, row in enumerate(rows, 1) if row[3]]


def test_a_success_that_begins_in_time_may_show_that_it_lasts_as_in_the_dream() -> None:
    (done,), _ = ends(CONFIG.horizon)
    begun = done - 1  # the first of its two steps
    assert ends(begun) == ([done], [])
    assert ends(begun - 1) == ([], [begun - 1])


def test_workers_do_the_same(env: RealEnv) -> None:
    with closing(real_env(workers=2)) as shared:
        for each in (env, shared):
            each.steps = each.episodes = 0
        assert torch.equal(env.reset(seed=4)[0], shared.reset(seed=4)[0])
        for _ in range(2):
            for mine, theirs in zip(env.step(torch.full((2, 3), 0.5))[:4], shared.step(torch.full((2, 3), 0.5))[:4]):
                assert torch.equal(mine, theirs)
        assert (env.steps, env.episodes) == (shared.steps, shared.episodes) == (4, 2)


class Interrupted(RealEnv):
    """Somebody presses ctrl-C in the second batch."""

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        if self.episodes == self.num_envs:
            raise KeyboardInterrupt
        return super().reset(seed=seed)


def practised(run: Run, kind: type[RealEnv], folder: Path) -> tuple[GaussianPolicy, RealEnv]:
    config = oracle.settings(run, None)
    with closing(kind(TASK, run.contract, config.imagination, practice_seeds(0))) as env:
        return practise(run, env, config, folder, progress=False), env


def test_interrupted_practice_ends_as_uninterrupted(tmp_path: Path) -> None:
    run = finished_run(finished_folder(tmp_path / "run"))
    whole, env = practised(run, RealEnv, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        practised(run, Interrupted, tmp_path / "parts")
    resumed, counted = practised(run, RealEnv, tmp_path / "parts")
    for mine, theirs in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    assert counted.state_dict() == env.state_dict() and env.episodes == 4 and env.steps > 0
    assert practice_success(tmp_path / "parts") == practice_success(tmp_path / "whole")
    assert len(practice_success(tmp_path / "whole")) == 2
    assert not torch.equal(resumed.mean.weight, GaussianPolicy.load(run.checkpoint("filtered_bc")).mean.weight)


def test_a_run_s_oracle_is_written_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = finished_folder(tmp_path / "run"), tmp_path / "result.json"
    options = ["oracle.py", str(folder), "--iterations", "1", "--workers", "1", "--out", str(out)]
    options += ["--folder", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", options)
    oracle.main()
    row = json.loads(out.read_text())["rows"][0]
    assert row["policy"] == "oracle" and len(row["practice_success"]) == 1 and len(row["outcomes"]["oracle"]) == 2
    assert row["simulated"]["episodes"] == 2 and row["run_has_used"] == {"env_steps": 22, "episodes": 7}
    assert not (folder / "oracle").exists()
    text = out.read_text()
    oracle.main()
    assert out.read_text() == text
    assert "real steps in 2 episodes; the run itself 22 in 7" in capsys.readouterr().out

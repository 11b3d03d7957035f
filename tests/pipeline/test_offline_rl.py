"""The benchmark of offline reinforcement learning: what it learns from, that it learns, and what its table says."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "wm")]

import offline_rl
from dream_rig import CONTRACT, SIZE, policy
from finished_rig import finished_folder
from made_episodes import made_episode, made_store
from refinement_parts.offline import CONFIGS, Actor, OfflineConfig, train
from refinement_parts.options import with_settings
from refinement_parts.results import scored
from refinement_parts.runs import HeldOut, finished_run
from refinement_parts.table import table
from refinement_parts.transitions import Transitions, split_encoder

from world4rl.episodes.collect import Evaluation
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_sim.gl import choose_gl
from world4rl_wm.model.frames import to_float

choose_gl()  # torchrl, which is asked for below, imports mujoco

QUICK = {"steps": 250, "hidden": 32, "batch_size": 64, "learning_rate": 2e-3, "actor_learning_rate": 2e-3, "tau": 0.05}


def plain(number: int, length: int) -> np.ndarray:
    """Pictures of one colour, another one for every step."""
    colours = (50 * number + np.arange(length + 1)).astype(np.uint8)
    return np.broadcast_to(colours[:, None, None, None], (length + 1, SIZE, SIZE, 3))


def labelled_store(path: Path) -> EpisodeStore:
    """A success after the second of four steps, a failure of three, and an episode that nobody has labelled."""
    episodes = [
        made_episode(CONTRACT, 0, 4, success_index=2, frames=plain(0, 4)),
        made_episode(CONTRACT, 1, 3, frames=plain(1, 3)),
        made_episode(CONTRACT, 2, 3, outcome=Outcome.UNLABELLED, frames=plain(2, 3)),
    ]
    return made_store(path, CONTRACT, episodes)


@pytest.mark.parametrize("time_limit_terminates", [True, False])
def test_rewards_and_ends_of_transitions(tmp_path: Path, time_limit_terminates: bool) -> None:
    found = Transitions(labelled_store(tmp_path / "store"), policy(), 0, time_limit_terminates)
    assert found.reward.squeeze(1).tolist() == [0, 1, 0, 0, 0]
    assert found.done.squeeze(1).tolist() == [False, True, False, False, True]
    assert found.terminated.squeeze(1).tolist() == [False, True, False, False, time_limit_terminates]
    assert found.actions[:, 0].numpy() == pytest.approx([0.1, 0.101, 0.2, 0.201, 0.202], abs=1e-4)


def test_observations_are_what_the_policy_s_convolutions_see(tmp_path: Path) -> None:
    store, actor = labelled_store(tmp_path / "store"), policy()
    found = Transitions(store, actor, 1, False)
    batch = found.sample(200, torch.Generator().manual_seed(0))
    frames = np.asarray(store.frames(1))
    last = torch.from_numpy(frames[2:4])  # what the failure's last step saw, and what came of it
    before = torch.from_numpy(frames[1:3])
    with torch.no_grad():
        now, following = (split_encoder(actor)[0](to_float(x).flatten(0, 1)[None]) for x in (before, last))
    rows = (batch["action"][:, 0] - 0.202).abs() < 1e-4
    assert bool(rows.any())
    for name, expected in (("observation", now), ("next_observation", following)):
        seen = batch[name][rows] * found.std + found.mean  # pictures of one colour look alike however they are shifted
        assert seen.numpy() == pytest.approx(expected.expand_as(seen).numpy(), abs=2e-3)


def test_the_actor_is_the_policy(tmp_path: Path) -> None:
    start = policy()
    found = Transitions(labelled_store(tmp_path / "store"), start, 0, False)
    frames = torch.rand(5, 2, CONTRACT.image_channels, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = (split_encoder(start)[0](frames.flatten(1, 2)) - found.mean) / found.std
    mean, std = Actor(start, found.mean, found.std, spread=True)(features)
    assert mean.detach().numpy() == pytest.approx(start.act(frames).numpy(), abs=1e-5)
    assert torch.equal(std[0], start.std)
    assert torch.equal(mean, Actor(start, found.mean, found.std, spread=False)(features))


def test_what_it_needs_can_be_installed() -> None:
    """The package that it tells to install is an extra's, and `-c constraints.txt` pins it."""
    package, name = re.search(r'"\./src/(\w+)\[([\w-]+)\]"', str(offline_rl.__doc__)).groups()  # type: ignore[union-attr]
    assert f'"{name}": ["torchrl"]' in (ROOT / "src" / package / "setup.py").read_text().partition("extras_require")[2]
    assert "\ntorchrl==" in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize("algorithm", CONFIGS)
def test_it_learns_what_imitation_cannot(tmp_path: Path, algorithm: str) -> None:
    """An episode is one step from one of two pictures, and succeeds if its first action is above .3. They are evenly
    spread, so that to imitate them all is to do nothing."""
    pytest.importorskip("torchrl", reason="offline reinforcement learning needs torchrl")
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 254, (2, 1, SIZE, SIZE, 3), dtype=np.uint8)
    episodes = []
    for number, action in enumerate(rng.uniform(-1, 1, (120, 1, CONTRACT.action_dim)).astype(np.float32)):
        success = 1 if action[0, 0] > 0.3 else None
        frames = pictures[[number % 2, number % 2], 0]
        episodes.append(made_episode(CONTRACT, number, 1, success, frames=frames, actions=action))
    store = made_store(tmp_path / "store", CONTRACT, episodes)
    start, learned = policy(), policy()
    found = Transitions(store, start, 0, time_limit_terminates=True)
    config = replace(CONFIGS[algorithm](), **QUICK)
    train(learned, found, config, gamma=0.97, seed=0)
    frames = to_float(torch.from_numpy(np.stack([np.asarray(store.frames(row)) for row in range(2)])))
    assert float(start.act(frames)[:, 0].abs().max()) < 0.1 and float(learned.act(frames)[:, 0].min()) > 0.3
    for mine, theirs in zip(split_encoder(learned)[0].parameters(), split_encoder(start)[0].parameters(), strict=True):
        assert torch.equal(mine, theirs), "the features are frozen"


def test_a_run_is_benchmarked_and_the_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torchrl", reason="offline reinforcement learning needs torchrl")
    folder, out = finished_folder(tmp_path / "run"), tmp_path / "result.json"
    options = [str(folder), "--out", str(out), "--steps", "2", "--workers", "1", "--seeds"]
    monkeypatch.setattr(sys, "argv", ["offline_rl.py", *options, "0"])
    offline_rl.main()
    first = json.loads(out.read_text())["rows"]
    assert [(row["policy"], row["seed"]) for row in first] == [("iql", 0), ("td3_bc", 0)]
    assert first[0]["learned"] | {"cpu_s": 0, "losses": 0} == {
        "episodes": 7,
        "transitions": 22,
        "cpu_s": 0,
        "losses": 0,
    }
    assert first[0]["outcomes"]["refined"] == "01" and len(first[0]["outcomes"]["iql"]) == 2
    assert set(first[0]["paired"]) == {"iql_vs_bc", "iql_vs_filtered_bc", "refined_vs_iql"}
    monkeypatch.setattr(sys, "argv", ["offline_rl.py", *options, "0", "1"])
    offline_rl.main()
    rows = json.loads(out.read_text())["rows"]
    assert rows[:2] == first and [row["seed"] for row in rows] == [0, 0, 1, 1]
    assert "| press_button, seed 0 | iql | 2 |" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["offline_rl.py", *options, "0", "--set", "iql.expectile=0.9"])
    with pytest.raises(SystemExit, match="other settings"):
        offline_rl.main()


def test_settings_are_chosen_on_other_start_states(tmp_path: Path) -> None:
    run = finished_run(finished_folder(tmp_path / "run"))
    reported, chosen = HeldOut.of(run), HeldOut.for_choosing(run)
    assert len(chosen.seeds) == len(reported.seeds) and not set(chosen.seeds) & set(reported.seeds)
    assert not chosen.success


def test_unknown_settings_are_refused() -> None:
    configs: dict[str, OfflineConfig] = {name: kind() for name, kind in CONFIGS.items()}
    assert with_settings(configs, ["iql.expectile=0.9"])["iql"] == replace(CONFIGS["iql"](), expectile=0.9)
    with pytest.raises(SystemExit, match=r"no such setting; there are iql\.steps"):
        with_settings(configs, ["iql.expectiles=0.9"])


def test_runs_of_a_benchmark_have_their_settings_above_them(tmp_path: Path) -> None:
    folder = finished_folder(tmp_path / "bench" / "seed-3" / "press_button")
    (folder / "config.yaml").rename(tmp_path / "bench" / "config.yaml")
    (folder / "row.json").write_text(json.dumps({"task": "press_button", "seed": 3}))
    run = finished_run(folder)
    assert (run.task, run.seed, run.preset.ppo.iterations) == ("press_button", 3, 2)
    assert run.contract.hash == CONTRACT.hash
    (folder / "evaluation" / "refined.json").unlink()
    with pytest.raises(SystemExit, match="no finished run"):
        finished_run(folder)


def made_row(run_seed: int, seed: int, rival: str, refined: str) -> dict[str, object]:
    """Outcomes as text; filtered BC always fails."""
    success = {name: [c == "1" for c in text] for name, text in (("iql", rival), ("refined", refined))}
    known = HeldOut(list(range(len(rival))), {"filtered_bc": [False] * len(rival), "refined": success["refined"]})
    found = Evaluation(known.seeds, success["iql"], [1] * len(rival))
    return {"task": "t", "run_seed": run_seed, "data": "x", "seed": seed, **scored("iql", found, known)}


def test_the_table_follows_from_the_outcomes() -> None:
    """Known beforehand: everybody alike in a row of all successes, 50 points apart where half are lost."""
    rows = [made_row(0, 0, "1111", "1111"), made_row(0, 1, "1111", "1111"), made_row(1, 0, "1010", "1111")]
    lines = table(rows).splitlines()
    assert lines[4].startswith("| t, seed 0 | iql | 2 | 100.0% [100.0%, 100.0%] | +100.0 [+100.0, +100.0] | +0.0 [")
    assert lines[4].endswith("| 1 / 1 |")
    assert lines[7].startswith("| t, seed 1 | iql | 1 | 50.0% [15.0%, 85.0%] | +50.0 [+0.0, +100.0] | +50.0 [")
    mean = lines[8].split(" | ")
    assert mean[:3] == ["| mean of 2 runs", "iql", "3"]
    assert mean[3].startswith("75.0%, t [-242.7%, 392.7%], bootstrap [")
    assert mean[5].startswith("+25.0, t [-292.7, +342.7], bootstrap [+0.0, +"), "two seeds, 0 and 50 points: t is wide"


def test_one_seed_of_each_task_gives_no_interval_over_seeds() -> None:
    rows = [made_row(0, 0, "1111", "1111"), made_row(0, 0, "1010", "1111") | {"task": "u"}]
    mean = table(rows).splitlines()[-1]
    assert "| +25.0, bootstrap [" in mean and "t [" not in mean

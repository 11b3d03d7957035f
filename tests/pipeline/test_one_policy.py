"""One policy for the tasks of a benchmark, beside rows that are finished: its stages fit together, at toy size.

What it achieves is measured by `world4rl benchmark metaworld --one-policy`.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from world4rl.benchmark.one_policy.folder import OnePolicy
from world4rl.benchmark.one_policy.rehearsal import held_out, practised_episodes
from world4rl.benchmark.one_policy.row import RESULT
from world4rl.benchmark.one_policy.run import one_policy
from world4rl.benchmark.one_policy.stages import start_policy
from world4rl.benchmark.row import not_refined, write_row
from world4rl.cli import main
from world4rl.presets import load_preset
from world4rl.runs.run_folder import Run
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode, Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_sim.metaworld.names import REQUIREMENT, load_contract
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.training.metrics_log import read_metrics

needs_metaworld = pytest.mark.skipif(
    importlib.util.find_spec("metaworld") is None, reason=f"needs the optional library: pip install {REQUIREMENT}"
)
TASKS = ("coffee-button-v3", "handle-press-v3")
TOY = """collect.workers=1 bc.filtered_training.steps=3 world_model.denoiser.widths=[8,8] world_model.denoiser.layers=1
reward.network.width=8 imagination.num_envs=4 imagination.hits=1 ppo.iterations=1 ppo.value_warm_up=0 dream_bc.steps=2
selection.every=1 selection.episodes=2 selection.margin=-1.0 evaluation.episodes=2 evaluation.concordance_episodes=3
replay_check.limits.min_episodes=1 replay_check.limits.refine_from=-1.0
replay_check.limits.cautious_from=-2.0 replay_check.limits.precision_from=0"""


def short_contract(folder: Path) -> Path:
    """Episodes of five steps."""
    folder.mkdir(exist_ok=True)
    path = folder / "short.yaml"
    path.write_text(json.dumps(load_contract("metaworld_32").to_dict() | {"max_episode_s": 5 / 16}))
    return path


def noise(contract: TaskContract, task: str, name: str, won: bool, length: int = 5) -> Episode:
    """An episode with nothing to see, the last frame of which shows success if it was `won`."""
    rng = np.random.default_rng(length)
    shapes = {s.name: (length + 1, s.height, s.width, 3) for s in contract.images}
    return Episode(
        images={name: rng.integers(0, 256, shape, dtype=np.uint8) for name, shape in shapes.items()},
        proprio=rng.normal(size=(length + 1, contract.proprio_dim)).astype(np.float32),
        actions=rng.uniform(-1, 1, (length, contract.action_dim)).astype(np.float32),
        action_sources=np.full(length, 3, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) * 62_500_000,
        task=task,
        source="policy",
        outcome=Outcome.SUCCESS if won else Outcome.FAILURE,
        success_index=length if won else None,
        contract_hash=contract.hash,
        episode_id=f"{task}-{name}",
    )


def finished_rows(folder: Path, decided: tuple[str, ...] = TASKS) -> list[Run]:
    """What the benchmark leaves of two tasks, from untrained models; only those `decided` saw both outcomes."""
    runs, preset = [], load_preset("metaworld/tiny", TOY.split())
    for number, task in enumerate(TASKS):
        run = Run(folder / "seed-0" / task, task, 0, "tiny", preset, False, str(short_contract(folder)))
        runs.append(run)
        for name, outcomes in (("demonstrations", (True,)), ("practice", (True, False)[: 1 + number])):
            with run.store(name) as store:
                for count, won in enumerate(outcomes):
                    store.append(noise(run.contract, task, f"{name}-{count}", won))
        with run.store("check") as store:
            for count, won in enumerate((True, task not in decided)):
                store.append(noise(run.contract, task, f"check-{count}", won))
        for name, seed in (("a", 0), ("b", 5)):
            torch.manual_seed(seed)
            network = preset.world_model_config(run.contract).told(TASKS)
            WorldModel(network, run.contract).save(run.checkpoint(f"world_model_{name}"))
            if task in decided:
                torch.manual_seed(seed + number)
                RewardModel(preset.reward_config(run.contract), run.contract).save(run.checkpoint(f"reward_{name}"))
        undecided = {"verdict": "keep", "reason": "undecided: too few", "passed": False, "j": None}
        run.write("replay_check.json", undecided)
        run.write("refinement.json", not_refined("undecided"))
        seeds = list(run.seeds.take("evaluate", 2))
        for name, success in (("bc", [False, False]), ("filtered_bc", [True, False]), ("refined", [True, True])):
            run.write(f"evaluation/{name}.json", {"seeds": seeds, "success": success, "steps": [5, 5]})
        write_row(run, {}, {"mode": "shared", "tasks": list(TASKS)})
    return runs


@needs_metaworld
def test_the_command_adds_one_policy_to_finished_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both tasks are practised in one batch and told; a second call has nothing to do."""
    finished_rows(tmp_path / "run")
    words = ["benchmark", "metaworld", "--run", str(tmp_path / "run"), "--seeds", "0", "--one-policy", "--tasks"]
    words += [*TASKS, "--contract", str(tmp_path / "run" / "short.yaml"), "--set", *TOY.split()]
    assert main(words) == 0, capsys.readouterr()
    told, folder = capsys.readouterr().out, tmp_path / "run" / "seed-0" / "one-policy"
    assert "| one policy: task | seed |" in told and told.count("| handle-press | 0 |") == 2
    assert told.count("- imagined against real, 2 rows: ") == 1, "the rows themselves were not tried both ways"
    for name in ("filtered_bc", "start", "refined"):
        assert GaussianPolicy.load(folder / "checkpoints" / name).config.tasks == TASKS
    assert [row["iteration"] for row in read_metrics(folder / "refine" / "metrics.jsonl")] == [0, 1]
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    for own, row in zip(found["tasks"], found["one_policy"], strict=True):
        assert row["task"] == own["task"] and row["seed"] == 0 and row["episodes"] == 2 and row["practised"]
        assert row["refined_alone_success"] == own["refined_success"] == 1.0
        tried = json.loads((folder / "concordance" / row["task"] / "concordance.json").read_text())
        assert row["concordance"] == tried and tried["episodes"] == 3
        assert [one["iteration"] for one in tried["policies"]] == [0, 1], "the policies that the judge has seen"
        stores = (folder / "concordance" / row["task"] / "stores").iterdir()
        assert {info.task for path in stores for info in EpisodeStore.open(path).infos} == {row["task"]}
        assert set(row["ci95"]) >= {"filtered_bc", "refined", "refined_minus_filtered_bc", "refined_minus_alone"}
    written = (folder / RESULT).stat().st_mtime_ns
    assert main(words) == 0 and (folder / RESULT).stat().st_mtime_ns == written
    assert "one policy for all tasks: done before" in capsys.readouterr().out
    evaluate = ["evaluate", "--policy", str(folder / "checkpoints" / "refined"), "--episodes", "1", "--workers", "1"]
    assert main([*evaluate, "--task", "soccer"]) == 2
    assert "this policy has not learned 'soccer-v3', only coffee-button-v3" in capsys.readouterr().err
    assert main([*evaluate, "--task", "handle-press"]) == 0


@needs_metaworld
@pytest.mark.parametrize("decided", [(TASKS[1],), ()])
def test_a_task_that_is_not_checked_is_not_practised(tmp_path: Path, decided: tuple[str, ...]) -> None:
    """It stays in BC; where that is every task, filtered BC is kept and measured once."""
    runs = finished_rows(tmp_path, decided)
    one_policy(runs)
    folder = tmp_path / "seed-0" / "one-policy"
    rows = json.loads((folder / RESULT).read_text())
    assert [row["task"] for row in rows if row["practised"]] == list(decided)
    assert [row["task"] for row in rows if "concordance" in row] == list(decided)
    assert GaussianPolicy.load(folder / "checkpoints" / "refined").config.tasks == TASKS
    assert (folder / "refine").is_dir() == bool(decided)
    if not decided:
        for row in rows:
            assert (
                row["refinement"]["kept_start_policy"] and "handle-press-v3: undecided" in row["refinement"]["reason"]
            )
            assert row["outcomes"]["refined"] == row["outcomes"]["filtered_bc"]


@needs_metaworld
def test_its_bc_on_dreams_computes_where_training_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU where there is one, or here, as if it were one."""
    seen: list[str] = []
    one = OnePolicy.beside(finished_rows(tmp_path))
    first = one.runs[0]
    network = replace(first.preset.policy_config(first.contract), tasks=one.tasks)
    GaussianPolicy(network, first.contract).save(one.checkpoint("filtered_bc"))
    monkeypatch.setattr("world4rl_wm.training.devices.process_device", lambda: torch.device("meta"))
    monkeypatch.setattr(
        "world4rl.refinement.rehearsal.Rehearsal.start",
        lambda self, *_: seen.extend(who.world_model.device.type for who in (self.dream, self.judge)),
    )
    start_policy(one)
    assert seen == ["meta", "meta"]


@needs_metaworld
def test_every_task_has_as_many_starts(tmp_path: Path) -> None:
    """One task after the other, so that the first few are of all; what has fewer episodes begins again."""
    runs = finished_rows(tmp_path)
    one = OnePolicy.beside(runs)
    few, many = ["coffee-button-v3-demonstrations-0", "coffee-button-v3-practice-0"], ["demonstrations-0", "practice-0"]
    many = [f"handle-press-v3-{name}" for name in (*many, "practice-1")]
    begun = [one.real.infos[row].episode_id for row in practised_episodes(one, runs)]
    assert begun == [few[0], many[0], few[1], many[1], few[0], many[2]]
    assert held_out(runs).tasks.tolist() == [*TASKS, *TASKS]
    assert one.config(2).imagination.num_envs == 8 and one.config(2).selection.episodes == 4


def test_it_needs_the_shared_world_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark", "metaworld", "--run", str(tmp_path / "run"), "--one-policy", "--world-model", "per-task"]
    assert main(words) == 2
    assert "it needs --world-model shared" in capsys.readouterr().err and not (tmp_path / "run").exists()

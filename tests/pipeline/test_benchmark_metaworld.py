"""The Meta-World benchmark at toy size: every stage, gone on with, and rows that the replay check cannot decide.

Guards that the stages fit together; what they achieve is measured by the command itself (benchmarks/results).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from world4rl.benchmark.metaworld import Benchmark
from world4rl.cli import main
from world4rl.presets import load_preset, preset_names
from world4rl_data.store import EpisodeStore
from world4rl_sim.metaworld.names import REQUIREMENT, load_contract

needs_metaworld = pytest.mark.skipif(
    importlib.util.find_spec("metaworld") is None, reason=f"needs the optional library: pip install {REQUIREMENT}"
)
TOY = """collect.demonstrations=3 collect.demonstration_noise=0.0 collect.policy_episodes=3 collect.random_episodes=2
collect.scout_episodes=2 collect.workers=1 bc.training.steps=20 bc.filtered_training.steps=20
world_model.denoiser.widths=[16,16] world_model.training.steps=4 world_model.training.batch_size=4
world_model.training.state.steps=4 reward.training.steps=4 imagination.num_envs=4 ppo.iterations=2 ppo.value_warm_up=1
dream_bc.steps=4 ppo.minibatch_size=32 selection.every=1 selection.episodes=4 selection.margin=-1.0
replay_check.max_episodes=4
replay_check.limits.refine_from=-1.0 replay_check.limits.cautious_from=-2.0 replay_check.limits.precision_from=0
evaluation.episodes=4 evaluation.concordance_episodes=2"""


def benchmark(run: Path, *words: str, settings: tuple[str, ...] = ()) -> int:
    return main(["benchmark", "metaworld", "--run", str(run), *words, "--set", *TOY.split(), *settings])


def test_bad_input_gives_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (("--tasks", "fold-laundry"), "Meta-World has no task 'fold-laundry'"),
        (("--preset", "huge"), "no preset 'huge'"),
        (("--contract", "metaworld_8"), "no contract 'metaworld_8' of Meta-World"),
        (("--seeds", "-1"), "seeds of 0 or more"),
        (("--set", "world_model.denoiser.history=1", "bc.network.history=1"), "denoiser.history is 1: give at least 2"),
    ):
        assert main(["benchmark", "metaworld", "--run", str(tmp_path / "run"), *words]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_its_settings_for_meta_world(name: str) -> None:
    """The paper's amounts of data."""
    preset = load_preset(f"metaworld/{name}")
    assert preset.collect.random_episodes == 30 and preset.collect.policy_episodes == 150


@needs_metaworld
def test_either_name_of_a_preset_asks_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Benchmark] = []
    monkeypatch.setattr("world4rl.benchmark.metaworld.run_benchmark", lambda benchmark: asked.append(benchmark) or [])
    for preset in ("tiny", "metaworld/tiny"):
        main(["benchmark", "metaworld", "--run", str(tmp_path / "run"), "--preset", preset])
    assert len(asked) == 2 and asked[0] == asked[1] and asked[0].contract_name == "metaworld_32"


@needs_metaworld
@pytest.mark.timeout(600)
def test_rows_of_two_tasks_share_a_world_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two quick tasks in episodes of 15 steps, with a dream wherever both outcomes were seen; a second call has nothing
    to do."""
    short = tmp_path / "short.yaml"
    short.write_text(json.dumps(load_contract("metaworld_32").to_dict() | {"max_episode_s": 15 / 16}))
    words = ("--tasks", "handle-press", "coffee-button-v3", "--seeds", "0", "--contract", str(short))
    settings = ("replay_check.limits.min_episodes=0",)
    assert benchmark(tmp_path / "run", *words, settings=settings) == 0, capsys.readouterr()
    shared = tmp_path / "run" / "seed-0" / "shared"
    store = EpisodeStore.open(shared / "stores" / "all")
    assert {info.task for info in store.infos} == {"handle-press-v3", "coffee-button-v3"}
    config = (shared / "checkpoints" / "world_model_a" / "config.yaml").read_text()
    assert "handle-press-v3" in config and "coffee-button-v3" in config
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["task"] for row in found["tasks"]] == ["coffee-button-v3", "handle-press-v3"]
    for row in found["tasks"]:
        assert row["episodes"] == 4 == len(row["outcomes"]["refined"]) and row["world_model"]["mode"] == "shared"
        assert row["real_episodes"] >= 3 + 3 + 2 + 2 + 4 and row["episode_steps"] == 15
        assert row["trajectories"] == {"expert": 3, "policy": 3 + 2, "random": 2}
        assert row["settings"]["preset"] == "metaworld/tiny"
        assert row["settings"]["changed"]["collect.demonstrations"] == 3
        assert set(row["provenance"]["data"]) == {"demonstrations", "practice", "check"}
        assert ("concordance" in row) == row["replay_check"]["passed"], "imagined against real, where there was a dream"
        assert set(row["ci95"]) >= {"bc", "filtered_bc", "refined", "refined_minus_bc"}
    assert "| handle-press | 0 |" in capsys.readouterr().out
    assert not list((tmp_path / "run").rglob("error.txt"))
    written = (shared.parent / "handle-press-v3" / "row.json").stat().st_mtime_ns
    assert benchmark(tmp_path / "run", *words, settings=settings) == 0
    assert (shared.parent / "handle-press-v3" / "row.json").stat().st_mtime_ns == written
    assert benchmark(tmp_path / "run", "--tasks", "soccer", *words[3:], settings=settings) == 2  # another set of tasks
    assert "holds a run of other settings" in capsys.readouterr().err


@needs_metaworld
@pytest.mark.timeout(600)
def test_a_row_that_cannot_be_decided_keeps_filtered_bc(tmp_path: Path) -> None:
    """Four fresh episodes cannot give ten of each outcome: no dream is trained, and the row says why."""
    words = ("--tasks", "drawer-close", "--seeds", "1", "--world-model", "per-task")
    out = tmp_path / "result.json"
    assert benchmark(tmp_path / "run", *words, "--out", str(out)) == 0
    (row,) = json.loads(out.read_text())["tasks"]
    assert row["refinement"]["kept_start_policy"] and "undecided" in row["refinement"]["reason"]
    assert row["replay_check"]["verdict"] == "keep" and row["replay_check"]["j"] is None
    assert row["outcomes"]["refined"] == row["outcomes"]["filtered_bc"]
    folder = tmp_path / "run" / "seed-1" / "drawer-close-v3"
    assert not (folder / "checkpoints" / "world_model_a").exists() and (folder / "checkpoints" / "refined").is_dir()


@needs_metaworld
def test_a_failed_row_is_told_and_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The expert at this much noise never finishes: the row fails with what to mend, and nothing is left half done."""
    words = ("--tasks", "coffee-pull", "--seeds", "0", "--world-model", "per-task")
    assert benchmark(tmp_path / "run", *words, settings=("collect.demonstration_noise=1.5",)) == 1
    told = capsys.readouterr().out
    assert "coffee-pull-v3: the expert succeeded in" in told and "less collect.demonstration_noise" in told
    assert (tmp_path / "run" / "seed-0" / "coffee-pull-v3" / "error.txt").is_file()
    assert not (tmp_path / "run" / "results.json").exists()


@needs_metaworld
def test_collect_bc_and_evaluate_work_on_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of every task: episodes of three behaviours in one store, a policy from them, and its success."""
    store, policy = str(tmp_path / "store"), str(tmp_path / "bc")
    collect = ["collect", "--out", store, "--task", "drawer-close", "--workers", "1", "--episodes"]
    assert main([*collect, "3", "--noise", "0"]) == 0
    assert main([*collect, "3", "--noise", "0"]) == 0  # nothing is collected twice
    assert main([*collect, "2", "--behaviour", "random"]) == 0
    assert main(["train", "bc", "--store", store, "--out", policy, "--set", *TOY.split()]) == 0
    assert main([*collect, "1", "--behaviour", "policy", "--policy", policy]) == 0
    infos = EpisodeStore.open(store).infos
    assert [info.source for info in infos] == ["expert"] * 3 + ["random"] * 2 + ["policy"]
    assert {info.task for info in infos} == {"drawer-close-v3"} and infos[0].success_index is not None
    assert main(["evaluate", "--policy", policy, "--episodes", "2", "--workers", "1"]) == 2
    assert "give --task" in capsys.readouterr().err
    assert main(["evaluate", "--policy", policy, "--episodes", "2", "--workers", "1", "--task", "drawer-close"]) == 0
    assert "of 2 (" in capsys.readouterr().out

"""`world4rl loop`: rounds of real work, further training and refinement, everything of the smallest size."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from dream_rig import CONTRACT, press_store

from world4rl import pipeline
from world4rl.cli import main
from world4rl.commands.loop import table
from world4rl.loop import refinement, stages
from world4rl.loop.round import Round
from world4rl.presets import load_preset, preset_values
from world4rl.refinement import rehearsal
from world4rl.runs import evaluation
from world4rl.runs.load_run import load_run
from world4rl.runs.run_folder import Run, successes
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.checkpoint import METRICS, PROVENANCE
from world4rl_wm.measures import replay
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward import train_reward
from world4rl_wm.reward.data import RewardData
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.training import train_world_model

SMALL = """
extends: tiny
description: for tests
collect: {workers: 1}
bc: {network: {width: 4, hidden: 16}, filtered_training: {steps: 2, batch_size: 4}}
world_model:
  denoiser: {widths: [8, 16], layers: 1, groups: 4}
  training: {batch_size: 4, warm_up: 1, state: {steps: 4, batch_size: 4}}
reward: {network: {width: 8}, training: {positives: 4, negatives: 4, progress_batch: 4}}
imagination: {num_envs: 4}
dream_bc: {steps: 2, batch_size: 8}
ppo: {epochs: 1, minibatch_size: 16, value_warm_up: 0}
selection: {every: 1, episodes: 4, margin: -1.0}
replay_check: {limits: {min_episodes: 0, precision_from: 0, refine_from: -2.0, cautious_from: -2.0}}
loop: {check_share: 0.5, world_model_steps: 2, reward_steps: 4, iterations: 1}
evaluation: {episodes: 2}
"""
EACH = 4  # real episodes of a round


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """What the loop needs of a finished run: stores of random pixels, untrained models, one evaluation."""
    run = tmp_path / "run"
    press_store(run / "stores" / "demonstrations", (5,), won=(0,), source="expert")
    press_store(run / "stores" / "practice", (4, 6), won=(1,))
    press_store(run / "stores" / "check", (7, 3), won=(0,))
    (tmp_path / "small.yaml").write_text(SMALL)
    preset = load_preset(tmp_path / "small.yaml")
    checkpoints = run / "checkpoints"
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        WorldModel(preset.world_model_config(CONTRACT), CONTRACT).save(checkpoints / f"world_model_{name}")
        RewardModel(preset.reward_config(CONTRACT), CONTRACT).save(checkpoints / f"reward_{name}")
    GaussianPolicy(preset.policy_config(CONTRACT), CONTRACT).save(checkpoints / "refined")
    (run / "evaluation").mkdir()
    (run / "evaluation" / "refined.json").write_text(json.dumps({"success": [True, False]}))
    (run / "evaluation" / "filtered_bc.json").write_text(json.dumps({"success": [False, False]}))
    config = {"task": "press_button", "seed": 3, "preset": "tiny", "settings": preset_values(preset)}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return run


@pytest.fixture(autouse=True)
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other in this process: a process of their own takes longer to start than to train here."""

    def one_by_one(work: Callable[..., None], jobs: Sequence[tuple[Any, ...]]) -> None:
        for job in jobs:
            work(*job)

    monkeypatch.setattr(stages, "in_parallel", one_by_one)


def words(run: Path, rounds: int, *more: str) -> list[str]:
    return ["loop", str(run), "--rounds", str(rounds), "--real-episodes", str(EACH * rounds), *more]


def weights(checkpoint: Path) -> bytes:
    return (checkpoint / "model.safetensors").read_bytes()


def test_rounds_learn_from_their_own_work_within_the_budget(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(finished, 1)) == 0
    text = capsys.readouterr().out
    assert "iteration 1 kept" in text and "iter. 1" in text
    first = finished / "loop" / "round-01"
    held_back, learned = EpisodeStore.open(first / "stores/fresh"), EpisodeStore.open(first / "stores/rollouts")
    seeds = load_run(finished).seeds.take("loop", 2 * EACH)
    assert [i.seed for i in held_back.infos] == list(seeds[:2]) and [i.seed for i in learned.infos] == list(seeds[2:4])
    training, check = EpisodeStore.open(first / "stores/training"), EpisodeStore.open(first / "stores/check")
    assert (len(training), len(check)) == (3 + 2, 2 + 2)
    assert [i.digest for i in check.infos[:2]] == [i.digest for i in held_back.infos], "the newest first"
    assert not {i.digest for i in training.infos} & {i.digest for i in check.infos}
    for name in ("world_model_a", "world_model_b", "reward_a", "reward_b"):
        made = json.loads((first / "checkpoints" / name / PROVENANCE).read_text())
        assert made["data"]["store"] == training.content_hash
        assert weights(first / "checkpoints" / name) != weights(finished / "checkpoints" / name)

    rival = first / "checkpoints" / "filtered_bc"
    everything = EpisodeStore.open(first / "stores" / "training+check")
    assert json.loads((rival / PROVENANCE).read_text())["data"]["store"] == everything.content_hash
    assert len(everything) == len(training) + len(check)
    imitated = json.loads((rival / METRICS).read_text())["episodes"]
    assert imitated == len(successes(everything)), "every success of the run and the round"
    told = json.loads((finished / "loop.json").read_text())
    assert (told["task"], told["seed"]) == ("press_button", 3)
    assert told["settings"]["changed"]["selection.margin"] == -1.0 and told["provenance"]["data"]
    row = told["rounds"][1]
    measured = json.loads((first / "evaluation" / "filtered_bc.json").read_text())["success"]
    assert row["filtered_bc_success"] == sum(measured) / len(measured)

    kept = weights(first / "checkpoints" / "world_model_a")
    assert main(words(finished, 2)) == 0
    assert weights(first / "checkpoints" / "world_model_a") == kept, "what is done is not done again"
    rows = json.loads((finished / "loop.json").read_text())["rounds"]
    assert [row["round"] for row in rows] == [0, 1, 2] and [row["real_episodes"] for row in rows] == [0, EACH, 2 * EACH]
    assert (
        (rows[0]["success"], rows[0]["filtered_bc_success"]) == (0.5, 0.0)
        and rows[2]["training_episodes"] == 7
        and rows[2]["iteration"] == 1
    )
    assert rows[2]["against_before"]["episodes"] == 2
    second = EpisodeStore.open(finished / "loop" / "round-02" / "stores" / "check")
    assert [i.seed for i in second.infos[:4]] == [*seeds[4:6], *seeds[:2]]

    assert main(words(finished, 2, "--set", "ppo.clip=0.1")) == 2
    assert "ppo.clip" in capsys.readouterr().err


def test_every_round_has_a_judge_s_start_states_of_its_own(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy was chosen on those of the rounds before, and learned from the held-back episodes' successes. The run
    itself had another number of them."""
    few = 2
    given: list[range] = []
    original = refinement.start_states

    def start_states(run: Run, seeds: range) -> Any:
        given.append(seeds)
        return original(run, seeds)

    monkeypatch.setattr(refinement, "start_states", start_states)
    assert main(words(finished, 2, "--set", f"selection.episodes={few}")) == 0
    run = load_run(finished)
    own = run.preset.selection.episodes
    select = run.seeds.take("select", own + 2 * few)
    assert given == [select[own : own + few], select[own + few :]], "the run's own refinement had the first"


def test_no_round_calibrates_a_reward_model_on_what_it_has_learned_from(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights go on from round to round: whatever was set aside once stays so."""
    shown: list[tuple[str, list[str]]] = []

    def real_and_dreamed(store: EpisodeStore, episodes: Sequence[int], *_: object) -> list[str]:
        return [store.infos[e].episode_id for e in episodes]

    def train_and_save(data: RewardData, _: object, out: Path, *__: object) -> None:
        shown.append((out.name, [*data.learned, *(f"aside {name}" for name in data.calibration)]))

    monkeypatch.setattr(replay, "real_and_dreamed", real_and_dreamed)
    monkeypatch.setattr(train_reward, "train_and_save", train_and_save)
    monkeypatch.setattr(train_world_model, "train_world_model", lambda *_: None)
    monkeypatch.setattr(WorldModel, "load", lambda *_: None)
    monkeypatch.setattr(pipeline, "in_parallel", stages.in_parallel)
    shutil.rmtree(finished / "stores" / "practice")
    press_store(finished / "stores" / "practice", (2,) * 12, (0, 3, 6, 9))
    run = load_run(finished, settings=["reward.calibration.episodes=0.4"])
    pipeline.world_models(run)
    before = None
    for number, source in enumerate(("random", "intervention"), 1):  # so that the episodes' names differ
        before = Round(run, number, EACH, before)
        press_store(before.run.path / "stores" / "rollouts", (2,) * 7, (0, 3), source)
        stages.models(before)
    assert [len(names) for _, names in shown] == [13, 13, 20, 20, 27, 27]
    for reader in ("reward_a", "reward_b"):
        learned: set[str] = set()
        for names in (names for name, names in shown if name == reader):
            aside = {name.removeprefix("aside ") for name in names if name.startswith("aside ")}
            learned |= set(names) - {f"aside {name}" for name in aside}
            assert len(aside) >= 5 and not aside & learned
    assert shown[0][1] != shown[1][1], "each reader has episodes of its own set aside"


def test_goes_on_with_a_row_of_a_benchmark(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its settings lie two folders above it; a row without a dream has nothing to go on with."""
    row = tmp_path / "benchmark" / "seed-3" / "press_button"
    row.parent.mkdir(parents=True)
    finished.rename(row)
    settings = yaml.safe_load((row / "config.yaml").read_text())
    (row / "config.yaml").unlink()
    assert main(words(row, 1)) == 2 and "holds no run" in capsys.readouterr().err
    (row / "row.json").write_text(json.dumps({"task": "press_button", "seed": 3}))
    assert main(words(row, 1)) == 2 and "config.yaml with its settings is not there" in capsys.readouterr().err
    config = {"tasks": ["press_button"], "preset": "tiny", "settings": settings["settings"]}
    (tmp_path / "benchmark" / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(words(row.parents[1], 1)) == 2 and "seed-0/TASK" in capsys.readouterr().err
    (row / "checkpoints" / "bc").mkdir()
    CONTRACT.save(row / "checkpoints" / "bc" / "contract.yaml")
    assert main(words(row, 1)) == 0
    assert "iter. 1" in capsys.readouterr().out and (row / "report.html").is_file()
    shutil.rmtree(row / "loop")
    for name in ("reward_b", "reward_a", "world_model_b", "world_model_a"):  # over all tasks: a row has world models
        shutil.rmtree(row / "checkpoints" / name)
        assert main(words(row, 1)) == 2
        told = capsys.readouterr().err
        assert "no dream to go on with" in told and name in told and not (row / "loop").exists()


def test_a_round_that_is_not_believed_changes_nothing(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check refuses: the policy stays, and what is known of it is not measured again."""

    original = evaluation.evaluate

    def measured(task: str, contract: Any, checkpoint: Path, *more: Any) -> Any:
        assert checkpoint.name == "filtered_bc", "this policy was measured before"
        return original(task, contract, checkpoint, *more)

    monkeypatch.setattr(evaluation, "evaluate", measured)
    assert main(words(finished, 1, "--set", "replay_check.limits.min_episodes=10")) == 0
    text = capsys.readouterr().out
    assert "undecided" in text and "as before" in text
    round_1 = finished / "loop" / "round-01" / "checkpoints" / "refined"
    assert weights(round_1) == weights(finished / "checkpoints" / "refined")
    row = json.loads((finished / "loop.json").read_text())["rounds"][1]
    assert (row["iteration"], row["success"], row["against_before"]["difference"]) == (0, 0.5, 0.0)


def test_practice_begins_where_the_judge_sees_more(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the newest policy or with filtered BC on every success; what is kept where nothing beats it is that one."""

    def dreamed(policy: GaussianPolicy, *_: object) -> float:
        return 0.25 if torch.equal(policy.mean.weight, newest.mean.weight) else 0.75

    newest = GaussianPolicy.load(finished / "checkpoints" / "refined")
    monkeypatch.setattr(rehearsal, "dreamed_success", dreamed)
    no_gain = ("--set", "dream_bc.steps=0", "selection.margin=2")
    round_1 = finished / "loop" / "round-01" / "checkpoints"
    assert main(words(finished, 1, *no_gain)) == 0
    assert "begun with filtered_bc, iteration 0 kept" in capsys.readouterr().out
    row = json.loads((finished / "loop.json").read_text())["rounds"][1]
    assert (row["start"], row["judged_starts"]) == ("filtered_bc", {"newest": 0.25, "filtered_bc": 0.75})
    assert weights(round_1 / "refined") == weights(round_1 / "filtered_bc")
    assert row["success"] == row["filtered_bc_success"] and row["against_filtered_bc"]["difference"] == 0

    shutil.rmtree(finished / "loop")
    assert main(words(finished, 1, *no_gain, "replay_check.limits.min_episodes=10")) == 0
    row = json.loads((finished / "loop.json").read_text())["rounds"][1]
    assert row["start"] == "newest" and not row["replay_check"]["passed"], "a refused dream does not choose either"
    assert weights(round_1 / "refined") == weights(finished / "checkpoints" / "refined")


def test_without_a_gain_no_round_leaves_a_policy_that_the_judge_likes_less(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filtered BC that has seen its successes in dreams does best there; of the two that may stay it is the poorer."""
    newest, copies = GaussianPolicy.load(finished / "checkpoints" / "refined"), list[torch.Tensor]()

    def dreamed(policy: GaussianPolicy, *_: object) -> float:
        if torch.equal(policy.mean.weight, newest.mean.weight):
            return 0.7
        if torch.equal(policy.mean.weight, GaussianPolicy.load(round_1 / "filtered_bc").mean.weight):
            return 0.6
        copies.append(policy.mean.weight)
        return 0.5 if torch.equal(copies[0], policy.mean.weight) else 0.8

    monkeypatch.setattr(rehearsal, "dreamed_success", dreamed)
    round_1 = finished / "loop" / "round-01" / "checkpoints"
    assert main(words(finished, 1, "--set", "dream_bc.steps=2", "selection.margin=2")) == 0
    row = json.loads((finished / "loop.json").read_text())["rounds"][1]
    assert (row["start"], row["stays"]) == ("filtered_bc", "newest")
    assert row["judged_starts"] == {"newest": 0.7, "filtered_bc": 0.8}
    assert (row["judged_before"], row["judged_after"], row["iteration"]) == (0.7, 0.7, 0)
    assert weights(round_1 / "refined") == weights(finished / "checkpoints" / "refined")


def test_at_equal_figures_practice_begins_with_the_newest_policy() -> None:
    assert refinement.judged_better({"newest": 0.5, "filtered_bc": 0.5}) == "newest"


def test_bc_on_dreams_does_not_undo_what_was_learned(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge sees the newest policy itself better than what BC on dreams makes of it: practice begins with it, and
    what does not beat it does not replace it."""

    def dreamed(policy: GaussianPolicy, *_: object) -> float:
        return 0.9 if torch.equal(policy.mean.weight, newest.mean.weight) else 0.5

    newest = GaussianPolicy.load(finished / "checkpoints" / "refined")
    monkeypatch.setattr(rehearsal, "dreamed_success", dreamed)
    assert main(words(finished, 1, "--set", "selection.margin=0.02")) == 0
    row = json.loads((finished / "loop.json").read_text())["rounds"][1]
    assert (row["start"], row["judged_starts"]) == ("newest", {"newest": 0.9, "filtered_bc": 0.5})
    assert (row["iteration"], row["judged_before"], row["judged_after"]) == (0, 0.9, 0.9)
    round_1 = finished / "loop" / "round-01" / "checkpoints"
    for name in ("start_newest", "refined"):
        assert weights(round_1 / name) == weights(finished / "checkpoints" / "refined")

    told = json.loads((round_1.parent / "refinement.json").read_text())
    assert (told.pop("judged_before"), told.pop("imagined_before")) == (0.9, 0.9)
    before = told | {"judged_start": 0.6, "judged_refined": None, "imagined_refined": None}
    (round_1.parent / "refinement.json").write_text(json.dumps(before))  # as of a version that did not dream it
    capsys.readouterr()
    assert main(words(finished, 1, "--set", "selection.margin=0.02")) == 0
    assert "0.60 -> -" in capsys.readouterr().out
    row = json.loads((finished / "loop.json").read_text())["rounds"][1]
    assert (row["judged_before"], row["judged_after"]) == (0.6, None)


def test_what_cannot_be_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, message in (
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--rounds", "5", "--real-episodes", "4"], "at least --rounds"),
        (["--rounds", "1", "--real-episodes", "1"], "too few"),
        (["--rounds", "1300", "--real-episodes", "5200"], "5204 start states for select: at most 5000"),
    ):
        assert main(["loop", str(finished), *more]) == 2
        assert message in capsys.readouterr().err
    config = yaml.safe_load((finished / "config.yaml").read_text()) | {"task": "door-lock-v3"}
    (finished / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(words(finished, 1, "--on-graph")) == 2
    assert "has no graph" in capsys.readouterr().err and not (finished / "loop").exists()
    (finished / "evaluation" / "refined.json").unlink()
    assert main(words(finished, 1)) == 2
    assert "not finished" in capsys.readouterr().err


def test_a_round_goes_on_from_the_one_before(finished: Path) -> None:
    run = load_run(finished)
    first = Round(run, 1, 10, None)
    second = Round(run, 2, 10, first)
    assert first.start == run.checkpoint("refined") and second.start == first.run.checkpoint("refined")
    assert first.held_back == 5 and second.run.preset.ppo == replace(run.preset.ppo, iterations=1)


def test_a_round_without_failures_has_no_j_in_the_table() -> None:
    row = {"success": 1.0, "ci95": (0.98, 1.0), "filtered_bc_success": 1.0, "round": 0}
    later = {"round": 1, "real_episodes": 40, "replay_check": {"j": None}, "iteration": 0, "stays": "newest"}
    later |= {"judged_before": 1.0, "judged_after": None, "against_before": {"difference": 0.0, "mcnemar_p": 1.0}}
    lines = table([row, row | later])
    assert lines[2].index("–") == lines[0].index("J") + 4, "to the right of its column"

"""Every stage through the command line, on a small made store, and the same command going on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from world4rl.cli import main
from world4rl.runs.record import differences, noted
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode, Outcome
from world4rl_data.store import EpisodeStore

SMALL = """
extends: tiny
description: for tests
bc: {network: {width: 4, hidden: 16}, training: {steps: 60, batch_size: 8},
     filtered_training: {steps: 60, batch_size: 8}}
world_model:
  denoiser: {widths: [8, 16], layers: 1, groups: 4}
  training: {steps: 4, batch_size: 4, warm_up: 1, save_every: 2, state: {steps: 3, batch_size: 4}}
reward: {network: {width: 8}, training: {steps: 60, positives: 4, negatives: 4}}
imagination: {num_envs: 4}
dream_bc: {steps: 2, batch_size: 8}
ppo: {iterations: 2, epochs: 1, minibatch_size: 8, value_warm_up: 1}
selection: {every: 1, episodes: 4}
"""


def episode(contract: TaskContract, seed: int, source: str, success: bool, length: int = 6) -> Episode:
    rng = np.random.default_rng(seed)
    streams = {s.name: (length + 1, s.height, s.width, 3) for s in contract.images}
    return Episode(
        images={name: rng.integers(0, 256, shape, dtype=np.uint8) for name, shape in streams.items()},
        proprio=rng.normal(size=(length + 1, contract.proprio_dim)).astype(np.float32),
        actions=rng.uniform(-1, 1, (length, contract.action_dim)).astype(np.float32),
        action_sources=np.full(length, 3, np.uint8),
        stamps=np.arange(length + 1, dtype=np.int64) * 100_000_000,
        task="press_button",
        source=source,
        outcome=Outcome.SUCCESS if success else Outcome.FAILURE,
        success_index=length - 2 if success else None,
        contract_hash=contract.hash,
        episode_id=f"{source}--0.1-{seed}" if source == "expert" else f"{source}-{seed}",
        seed=seed,
    )


@pytest.fixture(scope="module")
def contract() -> TaskContract:
    return TaskContract.load("franka_sim_press")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, contract: TaskContract) -> Path:
    """A folder with a store of random episodes, a preset, and everything trained on them through the command line."""
    root = tmp_path_factory.mktemp("cli")
    (root / "preset.yaml").write_text(SMALL)
    with EpisodeStore.create(root / "store", contract) as store:
        for seed in range(12):
            store.append(episode(contract, seed, "expert" if seed < 4 else "policy", seed % 2 == 0))
    with EpisodeStore.create(root / "check", contract) as store:
        for seed in range(100, 106):
            store.append(episode(contract, seed, "policy", seed % 2 == 0))
    for who, seed in (("a", "1"), ("b", "2")):
        assert train(root, "world-model", f"wm_{who}", "--seed", seed) == 0
        assert train(root, "reward", f"reward_{who}", "--seed", seed, "--world-model", str(root / f"wm_{who}")) == 0
    assert train(root, "bc", "bc") == 0
    return root


def train(root: Path, what: str, out: str, *more: str) -> int:
    options = ["--store", str(root / "store"), "--out", str(root / out), "--preset", str(root / "preset.yaml")]
    return main(["train", what, *options, *more])


def test_dry_run_prints_the_cost_and_writes_nothing(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(work, "world-model", "wm_dry", "--dry-run") == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("parameters", "GFLOP for one frame", "peak memory", "all steps"))
    assert not list(work.glob("wm_dry*"))


def refine_words(root: Path, out: str) -> list[str]:
    models = {"world-model": "wm_a", "reward": "reward_a", "judge-world-model": "wm_b", "judge-reward": "reward_b"}
    options = models | {"policy": "bc", "store": "store", "check": "check", "preset": "preset.yaml", "out": out}
    return ["refine", *(word for k, v in options.items() for word in (f"--{k}", str(root / v)))]


def test_training_leaves_checkpoint_and_record(work: Path) -> None:
    for name, kind in (("wm_a", "world_model"), ("reward_a", "reward_model"), ("bc", "policy")):
        assert yaml.safe_load((work / name / "config.yaml").read_text())["kind"] == kind
        record = yaml.safe_load((work / f"{name}.training" / "command.yaml").read_text())
        assert record["finished"] and record["provenance"]["versions"]["torch"]
        assert record["settings"]["content_hash"] and "preset" in record["settings"]
        rows = [json.loads(line) for line in (work / f"{name}.training" / "metrics.jsonl").read_text().splitlines()]
        assert rows and rows[-1]["event"] == "result"
    losses = [json.loads(x) for x in (work / "bc.training" / "metrics.jsonl").read_text().splitlines()]
    assert losses[0]["step"] == 50 and np.isfinite(losses[0]["loss"])


def test_bc_learns_from_demonstrations_and_filtered_bc_from_all_successes(work: Path) -> None:
    assert train(work, "bc", "fbc", "--filtered") == 0
    episodes = {n: json.loads((work / n / "metrics.json").read_text())["episodes"] for n in ("bc", "fbc")}
    assert episodes == {"bc": 2, "fbc": 6}


def test_same_command_again_has_nothing_to_do(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (work / "bc" / "model.safetensors").stat().st_mtime_ns
    assert train(work, "bc", "bc") == 0
    assert "there already" in capsys.readouterr().out
    assert (work / "bc" / "model.safetensors").stat().st_mtime_ns == before


def test_other_settings_are_refused_by_name(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(work, "bc", "bc", "--set", "bc.training.steps=3") == 2
    assert "preset.training.steps: 60 there, 3 asked" in capsys.readouterr().err


def test_command_that_failed_at_once_does_not_block_the_next(work: Path, contract: TaskContract) -> None:
    with EpisodeStore.create(work / "unlabelled", contract) as store:
        store.append(episode(contract, 500, "policy", False))
    words = ["train", "reward", "--out", str(work / "later"), "--preset", str(work / "preset.yaml")]
    assert main([*words, "--store", str(work / "unlabelled")]) == 2
    assert main([*words, "--store", str(work / "store")]) == 0


def test_dataset_info_and_validate(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "info", str(work / "store"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 12
    assert main(["dataset", "validate", str(work / "store")]) == 0
    assert "12 episodes checked: 12 fit for training, 0 with errors" in capsys.readouterr().out


def test_validate_finds_a_damaged_episode(
    tmp_path: Path, contract: TaskContract, capsys: pytest.CaptureFixture[str]
) -> None:
    with EpisodeStore.create(tmp_path / "store", contract) as store:
        for seed in range(2):
            store.append(episode(contract, seed, "policy", True))
    actions = np.memmap(tmp_path / "store" / "actions.bin", np.float32, mode="r+")
    actions[0] = np.nan
    actions.flush()
    assert main(["dataset", "validate", str(tmp_path / "store")]) == 1
    text = capsys.readouterr().out
    assert "policy-0" in text and "not finite" in text and "1 with errors" in text


def test_imagine_writes_a_film_of_the_right_length(work: Path) -> None:
    import av

    words = ["imagine", "--store", str(work / "store"), "--world-model", str(work / "wm_a")]
    words += ["--reward", str(work / "reward_a"), "--episode", "3", "--start", "2"]
    for policy in ([], ["--policy", str(work / "bc"), "--steps", "9"]):
        out = work / f"clip{len(policy)}.mp4"
        assert main([*words, "--out", str(out), *policy]) == 0
        steps = 9 if policy else 4
        rows = (out.with_suffix(".run") / "metrics.jsonl").read_text().splitlines()
        assert len(rows) == steps and 0 <= json.loads(rows[0])["success_probability"][0] <= 1
        with av.open(str(out)) as container:
            assert sum(1 for _ in container.decode(video=0)) == steps + 1 + 6, "first frame, dream, 0.6 s hold"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--episode", "12"], "--episode must be 0 to 11"),
        (["--start", "6"], "--start must be 0 to 5"),
        (["--steps", "7"], "1 to 6"),
    ],
)
def test_imagine_refuses_parts_that_are_not_there(
    work: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["imagine", "--store", str(work / "store"), "--world-model", str(work / "wm_a")]
    assert main([*words, "--reward", str(work / "reward_a"), "--out", str(work / "none.mp4"), *more]) == 2
    assert message in capsys.readouterr().err


def test_wrong_kind_of_checkpoint_is_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["imagine", "--store", str(work / "store"), "--world-model", str(work / "bc"), "--reward", str(work / "bc")]
    assert main([*words, "--out", str(work / "none.mp4")]) == 2
    assert "holds a policy checkpoint, but a world_model is needed" in capsys.readouterr().err


def test_refine_keeps_the_start_policy_where_the_check_refuses(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(refine_words(work, "kept")) == 0
    text = capsys.readouterr().out
    assert "undecided" in text and "iteration 0 kept" in text
    told = json.loads((work / "kept" / "metrics.json").read_text())
    assert told["judged_refined"] == told["judged_before"], "what was kept has been dreamed"
    assert f"success in the judge's dreams: {told['judged_before']:.2f} before, " in text
    check = json.loads((work / "kept.training" / "replay_check.json").read_text())
    assert check["verdict"] == "keep" and not check["passed"]
    assert (work / "kept" / "model.safetensors").read_bytes() == (work / "bc" / "model.safetensors").read_bytes()


def test_refine_practises_where_the_check_allows(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    any_dream = ("min_episodes=1", "cautious_from=-2", "refine_from=-1", "precision_from=0")
    limits = [f"replay_check.limits.{limit}" for limit in any_dream]
    assert main([*refine_words(work, "refined"), "--set", *limits]) == 0
    rows = [json.loads(x) for x in (work / "refined.training" / "metrics.jsonl").read_text().splitlines()]
    assert [r["iteration"] for r in rows if "approx_kl" in r] == [1, 2]
    assert all("judged_success" in r for r in rows)
    record = yaml.safe_load((work / "refined.training" / "command.yaml").read_text())
    assert record["settings"]["config"]["imagination"]["horizon"] == 6, "as long as the longest real episode"
    assert (work / "refined" / "model.safetensors").is_file()


@pytest.fixture
def fake_simulator(monkeypatch: pytest.MonkeyPatch, contract: TaskContract) -> list[list[int]]:
    """Stands in for the simulator; returns the seeds that each call asked for."""
    calls: list[list[int]] = []

    def collect(task: str, contract: TaskContract, behaviour: Any, seeds: Any, *_: Any) -> Iterator[Episode]:
        calls.append(list(seeds))
        name = "" if behaviour.checkpoint is None else behaviour.checkpoint.name
        made = (episode(contract, s, "expert", s % 2 == 0) for s in seeds)
        return (replace(e, policy_id=name) for e in made)

    def evaluate(task: str, contract: TaskContract, policy: Path, seeds: Any, *_: Any) -> Any:
        from world4rl.episodes.collect import Evaluation

        calls.append(list(seeds))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return Evaluation(list(seeds), [s % 4 != 0 for s in seeds], [7 for _ in seeds])

    monkeypatch.setattr("world4rl.episodes.collect.collect", collect)
    monkeypatch.setattr("world4rl.episodes.collect.evaluate", evaluate)
    return calls


def test_collect_adds_only_what_is_missing(tmp_path: Path, fake_simulator: list[list[int]]) -> None:
    words = ["collect", "--out", str(tmp_path / "store"), "--task", "press_button", "--first", "40"]
    assert main([*words, "--episodes", "3"]) == 0
    assert main([*words, "--episodes", "5"]) == 0
    assert main([*words, "--episodes", "5"]) == 0
    assert fake_simulator == [[40, 41, 42], [43, 44]]
    store = EpisodeStore.open(tmp_path / "store")
    assert [i.seed for i in store.infos] == [40, 41, 42, 43, 44]
    rows = noted(tmp_path / "store")
    assert [r["results"].get("missing") for r in rows] == [3, None, 2, None, None], "noted before the first episode"
    assert [r["results"]["collected"] for r in rows if "collected" in r["results"]] == [3, 2, 0]
    assert rows[0]["provenance"]["versions"]["numpy"] and rows[0]["settings"]["noise"] == 0.1


def test_store_never_mixes_two_policies_of_one_name(
    work: Path, tmp_path: Path, fake_simulator: list[list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other" / "bc"
    shutil.copytree(work / "bc", other)
    (other / "model.safetensors").write_bytes(b"other weights")
    words = ["collect", "--out", str(tmp_path / "store"), "--task", "press_button", "--behaviour", "policy"]
    assert main([*words, "--episodes", "1", "--policy", str(work / "bc")]) == 0
    assert main([*words, "--episodes", "2", "--policy", str(other)]) == 2
    assert "another policy named 'bc'" in capsys.readouterr().err


def test_interrupted_evaluation_goes_on(
    work: Path, fake_simulator: list[list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--policy", str(work / "bc"), "--episodes", "80", "--first", "200"]
    assert main(words) == 130
    assert main(words) == 0
    assert [(c[0], c[-1]) for c in fake_simulator] == [(200, 249), (250, 279), (250, 279)]
    found = json.loads((work / "bc.evaluation.json").read_text())
    assert found["seeds"] == list(range(200, 280)) and sum(found["success"]) == 60
    assert "60 of 80 (75.0%, 95 %" in capsys.readouterr().out
    assert main([*words, "--noise", "0.2"]) == 2, "another noise must not be mixed into the same file"


def test_demo_refuses_a_folder_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("world4rl.pipeline.run_pipeline", lambda run: run.path / "report.html")
    words = ["demo", "--run", str(tmp_path / "run"), "--task", "push_cube"]
    assert main(words) == 0 and main(words) == 0
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["settings"]["ppo"]["iterations"] > 0
    assert main([*words, "--seed", "4"]) == 2
    assert "seed: 0 there, 4 asked" in capsys.readouterr().err


def test_differences_name_every_value() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}) == [
        "a.c: 2 there, 3 asked",
        "d: None there, 4 asked",
    ]

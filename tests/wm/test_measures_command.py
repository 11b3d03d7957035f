"""`world4rl evaluate world-model` on small models: what it writes, what it says is missing, and how a user errs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from made_episodes import made_store
from measured_models import world_episode
from small_models import reward_model, small_contract, world_model

from world4rl.cli import main
from world4rl.model_measures.films import chosen
from world4rl.model_measures.fresh import fresh_pairs
from world4rl.model_measures.inputs import find_inputs, groups_of
from world4rl.presets import load_preset, preset_values
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Episode
from world4rl_data.store import EpisodeStore

CONTRACT = small_contract()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world model, a reward model, and a store with episodes of a policy and of random motion, some in pairs."""
    root = tmp_path_factory.mktemp("measures")
    episodes = [world_episode(CONTRACT, i, [0.3, -0.3, 0.3 + 0.02 * i], 2 if i % 2 else None) for i in range(4)]
    for number in range(4, 8):
        random = world_episode(CONTRACT, number, [0.3 if number % 2 else -0.3, 0.2], seed=number // 2)
        random.source = "random"
        episodes.append(random)
    store = made_store(root / "store", CONTRACT, episodes)
    world_model(CONTRACT).save(root / "model", data_hashes={"store": store.content_hash})
    reward_model(CONTRACT).save(root / "reward")
    return root


def run(work: Path, out: str, *more: str) -> int:
    words = ["evaluate", "world-model", str(work / "model"), "--store", str(work / "store"), "--out", str(work / out)]
    return main([*words, "--every", "2", *more])


def test_everything_is_measured_and_shown(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(work, "all", "--reward", str(work / "reward"), "--horizons", "1", "3", "30") == 0
    said = capsys.readouterr().out
    assert "30 steps: not measured" in said and "FVD not computed" in said and "PSNR" in said
    values = json.loads((work / "all" / "measures.json").read_text())
    policy = values["groups"][0]
    assert [(g["source"], g["episodes"], g["longest"]) for g in values["groups"]] == [
        ("policy", 4, 3),
        ("random", 4, 2),
    ]
    assert len(policy["open_loop"]["psnr"]["ours"]) == 3 and policy["following"]["moving"]["advantage"][0]
    for estimate in (policy["open_loop"]["psnr"]["ours"][0], policy["open_loop"]["ssim"]["rival"][0]):
        assert estimate["low"] <= estimate["mean"] <= estimate["high"] and estimate["episodes"] == 4
    assert sum(yes + no for _, yes, no in policy["outcomes"]["rows"]) == 4
    assert values["counterfactual"]["pairs"] == 2 and values["counterfactual"]["correlation"][0]
    assert set(values["not_computed"]) >= {"fid", "fvd"} and values["provenance"]["versions"]["torch"]
    page = (work / "all" / "measures.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', page), "opens offline"
    assert page.count("<video") == 6 and page.count('class="strip"') == 6, "best, median and worst of each group"
    assert "30 steps: not measured, the longest episode here has 3" in page and "polygon" in page
    assert '<td class="wrong" style="--share:' in page, "the confusion matrix is coloured"


def test_a_distance_stands_beside_that_of_copying(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FID's weights are not at hand: colours stand in for Inception's features."""
    monkeypatch.setattr("world4rl.model_measures.measure.load_inception", lambda _: lambda p: p.float().mean((2, 3)))
    assert run(work, "distances", "--horizons", "1") == 0
    fid = json.loads((work / "distances" / "measures.json").read_text())["groups"][0]["distances"]["fid"]
    page = (work / "distances" / "measures.html").read_text()
    assert f"FID {fid['dream']:.1f}, copying {fid['copy']:.1f}" in page and fid["samples"] > 1


def test_what_was_learned_from_is_told_apart(work: Path) -> None:
    """The store's hash is that in the checkpoint, and its place stands in the record of the training."""
    record = work / "model.training"
    record.mkdir(exist_ok=True)
    (record / "command.yaml").write_text(f"settings: {{store: {work / 'store'}}}\n")
    assert run(work, "seen", "--horizons", "1") == 0
    groups = json.loads((work / "seen" / "measures.json").read_text())["groups"]
    assert all(g["seen_in_training"] and "seen in training" in g["name"] for g in groups)
    (record / "command.yaml").unlink()
    assert run(work, "unknown", "--horizons", "1") == 0
    groups = json.loads((work / "unknown" / "measures.json").read_text())["groups"]
    assert all(g["seen_in_training"] is None for g in groups)


def test_outcomes_are_of_whole_episodes_whatever_the_horizons(work: Path) -> None:
    """A success that comes later than the largest of --horizons is a success."""
    assert run(work, "short", "--reward", str(work / "reward"), "--horizons", "1") == 0
    policy = json.loads((work / "short" / "measures.json").read_text())["groups"][0]
    assert [yes + no for _, yes, no in policy["outcomes"]["rows"]] == [2, 2], "two succeed at their second step"
    assert policy["outcomes"]["horizon"] == len(policy["outcomes"]["by_horizon"]["j"]) == 3
    assert len(policy["open_loop"]["psnr"]["ours"]) == 1


def test_films_of_stores_with_the_same_folder_name_stay_apart(work: Path) -> None:
    again = work / "elsewhere" / "store"
    shutil.copytree(work / "store", again)
    assert run(work, "twice", "--horizons", "1", "--store", str(work / "store"), str(again)) == 0
    groups = json.loads((work / "twice" / "measures.json").read_text())["groups"]
    films = [film["name"] for group in groups for film in group["films"]]
    assert len(groups) == 4 and len(films) == len(set(films)) == 12
    for folder, ending in (("clips", "mp4"), ("strips", "png")):
        assert {path.name for path in (work / "twice" / folder).iterdir()} == {f"{name}.{ending}" for name in films}
    page = (work / "twice" / "measures.html").read_text()
    assert page.count("<video") == page.count('class="strip"') == 12


def test_without_a_reward_model_outcomes_are_said_to_be_missing(work: Path) -> None:
    assert run(work, "unjudged", "--horizons", "1") == 0
    values = json.loads((work / "unjudged" / "measures.json").read_text())
    assert "give --reward" in values["groups"][0]["outcomes"]["not_measured"]
    assert "no reward model: give --reward" in (work / "unjudged" / "measures.html").read_text()


def test_user_errors_name_the_mend(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = small_contract("other")
    made_store(tmp_path / "other", other, [world_episode(other, 0, [0.1])])
    EpisodeStore.create(tmp_path / "empty", CONTRACT)
    model = str(work / "model")
    cases = {
        ("/nowhere",): "run or checkpoint /nowhere does not exist",
        (str(work),): "is neither a run nor a checkpoint: give runs/NAME",
        (model,): "no episodes to measure on: give --store",
        (model, "--store", "/nowhere"): "store /nowhere does not exist",
        (model, "--store", str(tmp_path / "empty")): "no episodes to measure on: give --store",
        (model, "--store", str(tmp_path / "other")): "contract",
        (model, "--reward", "/nowhere"): "reward model /nowhere does not exist",
        (model, "--reward", model): "holds a world_model checkpoint, but a reward_model is needed",
        (model, "--horizons", "0"): "--horizons must be 1 or more",
        (model, "--every", "0"): "must be at least 1",
        (model, "--device", "gpu"): "no device 'gpu' on this machine: use auto",
        (model, "--device", "cuda:99"): "no device 'cuda:99' on this machine",
    }
    for words, message in cases.items():
        assert main(["evaluate", "world-model", *words, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, words
    assert not (tmp_path / "out").exists()


def test_episodes_are_taken_evenly(work: Path) -> None:
    groups = groups_of(EpisodeStore.open(work / "store"), None, 2)
    assert [(g.source, g.episodes) for g in groups] == [("policy", [0, 3]), ("random", [4, 7])]


def test_best_median_and_worst() -> None:
    assert chosen(np.array([0.3, np.nan, 0.1, 0.2])) == {"best": 2, "median": 3, "worst": 0}
    assert chosen(np.array([np.nan])) == {}


def test_fresh_pairs_are_two_variants_of_each_start_and_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, list[int]]] = []

    def collect(
        task: str, contract: TaskContract, behaviour: Any, seeds: list[int], *_: Any, **__: Any
    ) -> Iterator[Episode]:
        calls.append((behaviour.variant, list(seeds)))
        for seed in seeds:
            if len(calls) == 2 and seed == 12:
                raise KeyboardInterrupt
            episode = world_episode(
                contract, 100 * behaviour.variant + seed, [0.1 + 0.5 * behaviour.variant], seed=seed
            )
            yield episode

    monkeypatch.setattr("world4rl.model_measures.fresh.collect", collect)
    arguments = ("made", CONTRACT, tmp_path / "fresh", range(10, 13), 1)
    with pytest.raises(KeyboardInterrupt):
        fresh_pairs(*arguments)
    store = fresh_pairs(*arguments)
    assert [c for c in calls if c[1]] == [(0, [10, 11, 12]), (1, [10, 11, 12]), (1, [12])]
    assert sorted(info.seed or 0 for info in store.infos) == [10, 10, 11, 11, 12, 12]


def test_variants_of_the_simulator_share_the_start_and_nothing_else() -> None:
    """The real simulator: only so are two fresh episodes a counterfactual pair."""
    from world4rl.episodes.collect import Behaviour, run_episode
    from world4rl.episodes.simulation import contract_for, make_env

    env = make_env("press_button", contract_for("press_button"))
    one, again, other = (run_episode(env, "press_button", Behaviour("random", variant=v), 3) for v in (0, 0, 1))
    env.close()
    for name, images in one.images.items():
        assert np.array_equal(images[0], other.images[name][0]) and np.array_equal(images, again.images[name])
    assert not np.array_equal(one.actions[0], other.actions[0]) and one.episode_id != other.episode_id


def test_a_benchmark_s_row_brings_its_settings_along(work: Path, tmp_path: Path) -> None:
    """They lie two folders above it."""
    row = tmp_path / "seed-3" / "window-open-v3"
    shutil.copytree(work / "model", row / "checkpoints" / "world_model_a")
    settings = preset_values(load_preset("metaworld/tiny"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"preset": "metaworld/tiny", "settings": settings}))
    (row / "row.json").write_text(json.dumps({"task": "window-open-v3", "seed": 3}))
    (row / "checkpoints" / "bc").mkdir()
    CONTRACT.save(row / "checkpoints" / "bc" / "contract.yaml")
    found = find_inputs(row, None, [work / "store"], None, None)
    assert (found.hits, found.seed) == (settings["imagination"]["hits"], 3)
    assert found.hits != find_inputs(work / "model", None, [work / "store"], None, None).hits

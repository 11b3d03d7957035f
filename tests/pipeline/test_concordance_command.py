"""`world4rl evaluate concordance`: untrained policies in untrained dreams and in the simulator, compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from dream_rig import policy, press_run, press_store, reward_model, world_model

from world4rl.cli import main
from world4rl.presets import load_preset, preset_values
from world4rl.refinement import dreamed
from world4rl.refinement.checkpoint_choice import kept_checkpoint
from world4rl.runs import concordance as module
from world4rl.runs.load_run import load_run

EPISODES = 2


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves whose judge has seen two policies and chosen the second."""
    run = press_run(tmp_path_factory.mktemp("refined"), store=False)
    press_store(run / "stores" / "practice")
    reward_model().save(run / "checkpoints" / "reward_b")
    for iteration in (1, 2):
        policy(seed=10 + iteration).save(kept_checkpoint(run / "refine", iteration))
    shutil.copytree(kept_checkpoint(run / "refine", 2), run / "checkpoints" / "refined")
    (run / "refinement.json").write_text(json.dumps({"iteration": 2}))
    settings = preset_values(load_preset("tiny", ["collect.workers=1"]))
    config = {"task": "press_button", "seed": 3, "preset": "tiny", "settings": settings}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return run


def test_every_policy_is_tried_both_ways_once(
    refined: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["evaluate", "concordance", str(refined), "--episodes", str(EPISODES)]
    assert main(words) == 0
    text = capsys.readouterr().out
    found = json.loads((refined / "concordance.json").read_text())
    assert [(row["iteration"], row["chosen"]) for row in found["policies"]] == [(0, False), (1, False), (2, True)]
    assert (
        found["sentence"] in text and f"regret {found['regret']:.1%} (95 %: at least {found['regret_low']:.1%})" in text
    )
    seeds = list(load_run(refined).seeds.take("concordance", EPISODES))
    simulated = json.loads((refined / "concordance" / "iteration-0001.json").read_text())
    assert simulated["seeds"] == seeds and len(simulated["success"]) == EPISODES
    start = module.episode_store(refined / "checkpoints" / "filtered_bc")
    assert sorted(info.seed for info in load_run(refined).store(start).infos) == seeds
    page = (refined / "report.html").read_text()
    own = found["own_episodes"]  # of the chosen policy, dreamed again
    kept = load_run(refined).store(module.episode_store(kept_checkpoint(refined / "refine", 2)))
    assert sorted(info.seed for info in kept.infos) == seeds and own["episodes"] == EPISODES
    assert own["successes"] == round(EPISODES * found["policies"][2]["real"])
    assert f"the chosen policy's own {EPISODES} episodes" in page.replace("&#39;", "'")
    assert "Could the dream be trusted?" in page and found["sentence"].split(":")[0] in page
    assert page.count("<circle") >= len(found["reliability"]), "the reliability plot has its points"

    def simulated_again(*_: object) -> None:
        raise AssertionError("these episodes are known")

    monkeypatch.setattr(module, "evaluate", simulated_again)
    assert main(words) == 0
    assert json.loads((refined / "concordance.json").read_text()) == found
    policy(seed=20).save(kept_checkpoint(refined / "refine", 1))
    with pytest.raises(AssertionError, match="known"):
        main(words)


def test_it_is_a_stage_of_every_run(
    refined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a dream was practised in; the command has nothing left to do from as many start states."""
    path = tmp_path / "run"
    shutil.copytree(refined, path)
    (path / "concordance.json").unlink(missing_ok=True)
    run = load_run(path, settings=[f"evaluation.concordance_episodes={EPISODES}"])
    for passed, settings, words in (
        (False, (), "nothing to compare, the replay check let nobody practise"),
        (True, ("evaluation.concordance_episodes=0",), "left out, evaluation.concordance_episodes is 0"),
    ):
        (path / "replay_check.json").write_text(json.dumps({"passed": passed}))
        module.imagined_and_real(load_run(path, settings=settings))
        assert words in capsys.readouterr().out and not (path / "concordance.json").exists()
    module.imagined_and_real(run)
    found = json.loads((path / "concordance.json").read_text())
    assert found["episodes"] == EPISODES and found["sentence"] in capsys.readouterr().out

    def again(*_: object, **__: object) -> None:
        raise AssertionError("this is known")

    monkeypatch.setattr(dreamed, "dreamed_outcomes", again)
    monkeypatch.setattr(module, "evaluate", again)
    assert main(["evaluate", "concordance", str(path), "--episodes", str(EPISODES)]) == 0
    assert found["sentence"] in capsys.readouterr().out
    world_model(seed=6).save(path / "checkpoints" / "world_model_b")  # other weights are another question
    with pytest.raises(AssertionError, match="known"):
        main(["evaluate", "concordance", str(path), "--episodes", str(EPISODES)])


def test_a_start_policy_made_anew_is_simulated_anew(refined: Path, tmp_path: Path) -> None:
    """Else the real outcomes of the one before it would stand beside the dreams of the new one."""
    run, start = tmp_path / "run", tmp_path / "run" / "checkpoints" / "start"
    shutil.copytree(refined, run)
    stored = []
    for seed in (40, 41):
        shutil.rmtree(start, ignore_errors=True)
        policy(seed=seed).save(start)
        module.real_success(module.Trial.of(load_run(run)), 0, start, EPISODES)
        store = load_run(run).store(module.episode_store(start))
        assert len(store) == EPISODES and store.infos[0].policy_id == "start"
        stored.append(store.episode(0).actions)
    assert not np.array_equal(stored[0][:2], stored[1][:2])


def test_what_was_kept_in_place_of_the_start_policy_is_tried_too(
    refined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start policy has seen dreams, filtered BC has not; where nothing beats the first, the second is kept."""
    run, tried = tmp_path / "run", []
    shutil.copytree(refined, run)
    shutil.rmtree(run / "concordance", ignore_errors=True)
    shutil.rmtree(run / "checkpoints" / "refined")
    policy(seed=30).save(run / "checkpoints" / "start")
    shutil.copytree(run / "checkpoints" / "filtered_bc", run / "checkpoints" / "refined")
    (run / "refinement.json").write_text(json.dumps({"iteration": 0, "kept_start_policy": True}))

    def real(_: object, iteration: int | None, checkpoint: Path, episodes: int) -> np.ndarray:
        tried.append((iteration, checkpoint.name))
        return np.full(episodes, iteration is not None)  # all succeed but the one that was kept

    trial = module.Trial.of(load_run(run))
    module.real_success(trial, 0, run / "checkpoints" / "start", EPISODES)  # where dreams begin
    monkeypatch.setattr(module, "real_success", real)
    assert main(["evaluate", "concordance", str(run), "--episodes", str(EPISODES)]) == 0
    assert tried == [(0, "start"), (1, "iteration-0001"), (2, "iteration-0002"), (None, "refined")]
    found = json.loads((run / "concordance.json").read_text())
    assert [(row["iteration"], row["chosen"]) for row in found["policies"]] == [(0, False), (1, False), (2, False)]
    assert (found["kept"]["real"], found["regret"]) == (0.0, 1.0)
    assert "filtered BC, kept" in capsys.readouterr().out
    assert "filtered BC, which was kept" in (run / "report.html").read_text()
    shutil.rmtree(run / "checkpoints" / "start")  # as before there was BC on dreams: iteration 0 is what was kept
    assert main(["evaluate", "concordance", str(run), "--episodes", str(EPISODES)]) == 0
    found = json.loads((run / "concordance.json").read_text())
    assert [row["chosen"] for row in found["policies"]] == [True, False, False] and "kept" not in found


def test_a_run_of_an_earlier_version_has_two_policies(refined: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(refined, old)
    shutil.rmtree(old / "refine")
    assert list(module.policies(load_run(old), 2)) == [0, 2]
    assert list(module.policies(load_run(old), 0)) == [0]


def test_settings_that_came_later_are_those_of_the_preset(refined: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((refined / "config.yaml").read_text())
    del config["settings"]["ppo"]["learn_std"]
    config["settings"]["ppo"]["iterations"] = 3
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run = load_run(tmp_path)
    assert run.preset.ppo.iterations == 3 and run.preset.ppo.learn_std is load_preset("tiny").ppo.learn_std
    assert (run.task, run.seed, run.preset.collect.workers) == ("press_button", 3, 1)


def test_those_of_a_row_are_the_preset_of_meta_worlds(refined: Path, tmp_path: Path) -> None:
    config, row = yaml.safe_load((refined / "config.yaml").read_text()), tmp_path / "seed-0" / "door-lock-v3"
    del config["settings"]["imagination"]["hits"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    shutil.copytree(refined / "checkpoints" / "filtered_bc", row / "checkpoints" / "bc")
    (row / "row.json").write_text(json.dumps({"task": "door-lock-v3", "seed": 0}))
    assert load_run(row).preset.imagination.hits == load_preset("metaworld/tiny").imagination.hits


def test_a_row_without_a_dream_is_refused_before_anything_is_simulated(
    refined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With world models over all tasks, one that could not be decided has those, but no reward models."""
    run = tmp_path / "run"
    shutil.copytree(refined, run)

    def simulated(*_: object) -> None:
        raise AssertionError("there is nothing to compare with")

    monkeypatch.setattr(module, "real_success", simulated)
    for name in ("reward_b", "reward_a"):
        shutil.rmtree(run / "checkpoints" / name)
        assert main(["evaluate", "concordance", str(run)]) == 2
        told = capsys.readouterr().err
        assert "no dream to go on with" in told and name in told


def test_what_cannot_be_compared_is_refused(refined: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(refined / "config.yaml", tmp_path)
    for words, message in (
        ([str(tmp_path / "nowhere")], "holds no run"),
        ([str(tmp_path)], "has not been refined"),
        ([str(refined), "--episodes", "0"], "at least 1"),
    ):
        assert main(["evaluate", "concordance", *words]) == 2
        assert message in capsys.readouterr().err

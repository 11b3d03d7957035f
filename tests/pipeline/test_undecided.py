"""A run whose fresh episodes have one outcome only comes to its end: nobody can say whether its dream is true."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from dream_rig import press_store, reward_model, world_model
from finished_rig import finished_folder

from world4rl import pipeline
from world4rl.report.page import build_report
from world4rl.runs.dreamers import train_reader
from world4rl.runs.load_run import load_run
from world4rl.runs.summary import summarise


@pytest.mark.parametrize("won", [(), (0, 1)], ids=["no success", "no failure"])
def test_a_run_ends_well_whatever_came_of_its_fresh_episodes(tmp_path: Path, won: tuple[int, ...]) -> None:
    folder = finished_folder(tmp_path, "reward.training.steps=3", "selection.episodes=2")
    shutil.rmtree(folder / "stores" / "check")
    press_store(folder / "stores" / "check", (4, 2), won)
    run = load_run(folder, progress=False)
    for seed, name in enumerate("ab"):
        world_model(seed).save(run.checkpoint(f"world_model_{name}"))
        reward_model().save(run.checkpoint(f"reward_{name}"))
    shutil.rmtree(run.checkpoint("reward_a"))
    train_reader(run, "a", 0)  # the two world models learn without the fresh episodes
    for stage in (pipeline.start_policy, pipeline.replay_check, pipeline.uncertainty, pipeline.refinement):
        stage(run)
    told = run.read("replay_check.json")
    assert not told["passed"] and told["reason"].startswith(f"undecided: {len(won)} successes")
    assert run.read("refinement.json")["kept_start_policy"] and (run.checkpoint("refined") / "metrics.json").is_file()
    (folder / "evaluation" / "graph.json").write_text(json.dumps({"success": [True]}))
    summary = summarise(run)
    assert "undecided" in summary["conclusion"] and bool(summary["reward_confusion"]) == bool(won)
    run.write("summary.json", summary)
    assert "undecided" in build_report(folder).read_text()

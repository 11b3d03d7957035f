"""Episodes on the graph: an interrupted stage begins anew, so that no demonstration is in the store twice."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "data")]

from data_fakes import messages, write_bag
from dream_rig import CONTRACT
from finished_rig import finished_folder

from world4rl import pipeline
from world4rl.episodes import graph_episodes
from world4rl.loop.rollouts import on_graph, rollouts
from world4rl.loop.round import Round
from world4rl.presets import load_preset
from world4rl.runs import summary
from world4rl.runs.load_run import load_run
from world4rl.runs.run_folder import Run
from world4rl_bringup.graph import graph
from world4rl_bringup.options import GraphOptions
from world4rl_wm.measures.replay_check import judge

WANTED = 4


def recorder(stops_after: int = WANTED) -> Any:
    """In the graph's place: bags under new names, as the recorder gives them, from the seed on; perhaps Ctrl-C."""

    def run_graph(_mode: str, options: GraphOptions, *_: object) -> dict[str, Any]:
        for number in range(options.episodes):
            if number == stops_after:
                raise KeyboardInterrupt
            stream = list(messages(CONTRACT, seed=options.seed + number))
            write_bag(Path(options.bags_dir) / f"press_{uuid.uuid4().hex}", CONTRACT, stream)
        return {}

    return run_graph


def test_an_interrupted_stage_leaves_no_demonstration_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, "press_button", 0, "tiny", load_preset("tiny", [f"collect.demonstrations={WANTED}"]))
    monkeypatch.setattr(graph_episodes, "run_graph", recorder(stops_after=3))
    with pytest.raises(KeyboardInterrupt):
        pipeline.demonstrations(run)
    assert "removed" not in capsys.readouterr().out
    monkeypatch.setattr(graph_episodes, "run_graph", recorder())
    pipeline.demonstrations(run)
    assert len(list((tmp_path / "bags" / "demonstrations").iterdir())) == len(run.store("demonstrations")) == WANTED
    assert "3 episodes of an interrupted attempt are removed" in capsys.readouterr().out
    pipeline.demonstrations(run)  # killed after its store was built, before it was noted as done
    assert len(run.store("demonstrations")) == WANTED


def test_the_operator_is_as_clumsy_as_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its node reads the file after its defaults (tests/bringup)."""
    given: list[GraphOptions] = []

    def run_graph(mode: str, options: GraphOptions, *_: object) -> dict[str, Any]:
        given.append(options)
        return recorder()(mode, options)  # type: ignore[no-any-return]

    monkeypatch.setattr(graph_episodes, "run_graph", run_graph)
    settings = ["collect.demonstrations=1", "collect.demonstration_noise=0"]
    pipeline.demonstrations(Run(tmp_path, "press_button", 0, "tiny", load_preset("tiny", settings)))
    operator = next(spec for spec in graph("sim_arm", given[0]) if spec.name == "scripted_operator")
    told = [yaml.safe_load(path.read_text())["/**/scripted_operator"] for path in operator.parameter_files]
    noise = told[-1]["ros__parameters"]["noise"]
    assert (noise, type(noise)) == (0.0, float), "ROS takes an integer for another type"


def test_deployments_begin_anew_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stops_after in (1, 2):
        monkeypatch.setattr(graph_episodes, "run_graph", recorder(stops_after))
        if stops_after == 1:
            with pytest.raises(KeyboardInterrupt):
                graph_episodes.deploy("press_button", tmp_path / "policy", 2, 7, tmp_path)
        else:
            graph_episodes.deploy("press_button", tmp_path / "policy", 2, 7, tmp_path)
    assert len(list((tmp_path / "bags" / "deployments").iterdir())) == 2


def test_a_demo_without_deployments_comes_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`evaluation.graph_episodes=0` means none: no graph is started, and summary and report do without its rate."""
    folder = finished_folder(tmp_path, "evaluation.graph_episodes=0")
    run = load_run(folder, progress=False)
    monkeypatch.setattr(graph_episodes, "run_graph", lambda *_: pytest.fail("a graph was started"))
    monkeypatch.setattr(summary, "reward_confusion", lambda _: {})
    real = torch.tensor([True] * 20 + [False] * 20)
    run.write("replay_check.json", judge(real, real).to_dict())
    judged = dict.fromkeys(("imagined_start", "imagined_refined", "judged_start", "judged_refined"), 0.5)
    run.write("refinement.json", judged | {"kept_start_policy": False, "reason": "better"})
    run.write("uncertainty.json", {})
    pipeline.deployment(run)
    pipeline.report(run)
    assert not (folder / "evaluation" / "graph.json").exists() and "graph" not in run.read("summary.json")
    assert "No deployments on the ROS graph in this run." in (folder / "report.html").read_text()


def test_a_round_on_the_graph_is_not_recorded_again_for_a_bag_that_is_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store leaves one out: an interruption later than that must not cost what is recorded."""
    recorded: list[str] = []

    def run_graph(_mode: str, options: GraphOptions, *_: object) -> dict[str, Any]:
        recorded.append(Path(options.bags_dir).name)
        if recorded == ["fresh", "rollouts"]:
            raise KeyboardInterrupt
        recorder()(_mode, options)
        bag = min(Path(options.bags_dir).iterdir())
        (bag / "episode.json").unlink()  # as of a bag that nobody can read
        results = {"results": [{}] * options.episodes}
        Path(options.results).write_text(json.dumps(results))
        return results

    monkeypatch.setattr(graph_episodes, "run_graph", run_graph)
    preset = load_preset("tiny", ["loop.check_share=0.5"])
    round_1 = Round(Run(tmp_path, "press_button", 0, "tiny", preset, False), 1, 2 * WANTED, None)
    with pytest.raises(KeyboardInterrupt):
        rollouts(round_1, on_graph)
    rollouts(round_1, on_graph)
    assert recorded == ["fresh", "rollouts", "rollouts"]
    assert [len(round_1.run.store(name)) for name in ("fresh", "rollouts")] == [WANTED - 1] * 2
    rollouts(round_1, on_graph)
    assert len(recorded) == 3
    graph_episodes.fresh_bags(round_1.run.path, "fresh")
    rollouts(round_1, on_graph)
    assert recorded[3:] == ["fresh"], "the results of bags that are gone say nothing"

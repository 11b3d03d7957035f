"""Several runs on one page: bars beside each other, seeds put together only where that is fair, and what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from world4rl.cli import main
from world4rl.report.comparison import build_comparison, view
from world4rl.report.data import RunError, read_run


def made_run(path: Path, seed: int, refined: str, steps: int = 600, **more: Any) -> Path:
    """A finished run's summary and settings; `refined` holds the outcome of each of its start states."""
    path.mkdir()
    bc = "10" * (len(refined) // 2)
    rate = {"bc_success": 0.5, "refined_success": refined.count("1") / len(refined)}
    ranges = {"evaluate": [1000 * seed, 1000 * seed + 999]}
    summary = {"task": "push_cube", "seed": seed, "episodes": len(refined), **rate, "seed_ranges": ranges}
    summary |= {"outcomes": {"bc": bc, "refined": refined}, "replay_check": {"j": 0.81, "verdict": "refine"}, **more}
    (path / "summary.json").write_text(json.dumps(summary))
    settings = {"task": "push_cube", "seed": seed, "settings": {"bc": {"training": {"steps": steps}}}}
    (path / "config.yaml").write_text(yaml.safe_dump(settings))
    return path


def test_seeds_are_put_together_where_nothing_else_differs(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / f"s{seed}", seed, "1110" * 10) for seed in (0, 1, 2)]
    shown = view([read_run(run) for run in runs])
    (row,) = shown["pooled"]
    assert row["name"] == "refined − BC" and row["difference"] == pytest.approx(0.25)
    assert row["ci95"][0] <= 0.25 <= row["ci95"][1] and row["verdict"] == "better"
    assert shown["differing"] == [("seed", ["0", "1", "2"])] and not shown["between"]
    assert [len(bars) for _, bars in shown["policies"]] == [3, 3]


def test_seeds_that_are_alike_by_chance_decide_nothing(tmp_path: Path) -> None:
    """One start state of 200 gained in both seeds: Student's t has no width, the bootstrap reaches zero."""
    runs = [made_run(tmp_path / f"s{seed}", seed, "11" + "10" * 99) for seed in (0, 1)]
    (row,) = view([read_run(run) for run in runs])["pooled"]
    assert row["seed_t95"] == (0.005, 0.005) and row["ci95"][0] == 0 and row["verdict"] == "undecided"
    page = build_comparison(runs, tmp_path / "page.html").read_text()
    assert "ask both" in page and "which decides" not in page


def test_a_handful_of_episodes_over_two_seeds_decides_nothing(tmp_path: Path) -> None:
    """Two start states of 200 gained in each seed, none lost: neither interval holds zero, four pairs prove nothing."""
    runs = [made_run(tmp_path / f"s{seed}", seed, "1111" + "10" * 98) for seed in (0, 1)]
    (row,) = view([read_run(run) for run in runs])["pooled"]
    assert row["seed_t95"] == (0.01, 0.01) and row["ci95"][0] > 0 and row["verdict"] == "undecided"


def test_other_settings_are_not_other_seeds(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / "a", 0, "1110" * 10), made_run(tmp_path / "b", 1, "1111" * 10, steps=900)]
    shown = view([read_run(run) for run in runs])
    assert not shown["pooled"]
    assert ("bc.training.steps", ["600", "900"]) in shown["differing"]


def test_runs_of_one_seed_are_compared_on_the_same_start_states(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / "a", 0, "1100" * 10), made_run(tmp_path / "b", 0, "1110" * 10, steps=900)]
    (row,) = view([read_run(run) for run in runs])["between"]
    assert (row["name"], row["gained"], row["lost"], row["verdict"]) == ("b − a", 10, 0, "better")
    assert row["difference"] == pytest.approx(0.25)


def test_an_unfinished_run_may_stand_beside_a_finished_one(tmp_path: Path) -> None:
    done = made_run(tmp_path / "done", 0, "10" * 20, versions={"torch": "2.13"})
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text("task: push_cube\nseed: 1\n")
    page = build_comparison([done, tmp_path / "begun"], tmp_path / "out" / "page.html").read_text()
    assert "2 runs: done, begun" in page and "Not put together" in page
    assert "versions.torch" in page and "0.81" in page and "<script" not in page


def test_folders_called_alike_are_told_apart(tmp_path: Path) -> None:
    for parent in ("x", "y"):
        (tmp_path / parent).mkdir()
    runs = [made_run(tmp_path / parent / "demo", seed, "10" * 20) for seed, parent in enumerate("xy")]
    assert view([read_run(run) for run in runs])["names"] == [str(run) for run in runs]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [str(made_run(tmp_path / f"s{seed}", seed, "1110" * 10)) for seed in (0, 1)]
    assert not main(["report", *runs])
    assert capsys.readouterr().out.strip() == "comparison.html" and (tmp_path / "comparison.html").exists()
    assert not main(["report", runs[0]]) and (tmp_path / "s0" / "report.html").exists()
    assert main(["report"]) == 2 and "no run" in capsys.readouterr().err
    assert main(["report", runs[0], "--out", "x.html"]) == 2 and "--out is for" in capsys.readouterr().err


def test_no_run_no_page(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no folder"):
        build_comparison([tmp_path / "nothing"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()

"""Demo runs as the table of docs/results.md: runs of one recipe alone, and what the files say."""

# ruff: noqa: E402 (the helpers are found after the path is set)
from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "benchmarks")]

import demo

COMMITTED = sorted((ROOT / "benchmarks" / "results").glob("demo-seed*.json"))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results that are there already."""
    folder = tmp_path / "results"
    folder.mkdir()
    for path in COMMITTED:
        shutil.copyfile(path, folder / path.name)
    monkeypatch.setattr(demo, "RESULTS", folder)
    return folder


def run(folder: Path, seed: int, changed: dict[str, Any] | None = None, **values: Any) -> Path:
    """A finished run; `changed`: settings that are not the preset's."""
    summary = json.loads(COMMITTED[0].read_text()) | {"seed": seed} | values
    summary["settings"]["changed"] = changed or {}
    path = folder / f"run-{seed}-{len(list(folder.iterdir()))}"
    path.mkdir()
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_results_that_are_there_are_of_one_recipe(results: Path) -> None:
    demo.take_over([])
    assert len(contents(results)) == len(COMMITTED) > 1


def test_a_run_of_the_same_recipe_is_taken_over(tmp_path: Path, results: Path) -> None:
    runs = [run(tmp_path, 1), run(tmp_path, 7, {"collect.workers": 8})]
    demo.take_over(runs)
    assert json.loads((results / "demo-seed1.json").read_text()) == json.loads((runs[0] / "summary.json").read_text())
    assert len(contents(results)) == len(COMMITTED) + 1


def test_whether_the_dream_could_be_trusted_is_taken_over_too(tmp_path: Path, results: Path) -> None:
    found = run(tmp_path, 1)
    (found / "concordance.json").write_text(json.dumps({"sentence": "It could."}))
    demo.take_over([found])
    assert json.loads((results / "demo-seed1.json").read_text())["concordance"] == {"sentence": "It could."}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"changed": {"ppo.clip": 0.1}}, "ppo.clip: not set in demo-seed0.json, "),
        ({"task": "reach_target"}, "task: press_button in demo-seed0.json, "),
        ({"preset": "small"}, "preset: tiny in demo-seed0.json, "),
        ({"episodes": 20}, "episodes: 200 in demo-seed0.json, "),
    ],
)
def test_another_recipe_changes_nothing(tmp_path: Path, results: Path, values: dict[str, Any], told: str) -> None:
    before, other = contents(results), run(tmp_path, 1, **values)
    with pytest.raises(SystemExit, match="give the runs of all its seeds") as refused:
        demo.take_over([run(tmp_path, 2), other])
    assert told in str(refused.value) and f" in {other}" in str(refused.value)
    assert contents(results) == before


def test_all_seeds_may_change_their_recipe_together(tmp_path: Path, results: Path) -> None:
    demo.take_over([run(tmp_path, seed, {"ppo.clip": 0.1}) for seed in range(len(COMMITTED))])
    assert all(json.loads(text)["settings"]["changed"] for text in contents(results).values())


def test_one_seed_has_one_run(tmp_path: Path, results: Path) -> None:
    with pytest.raises(SystemExit, match="several of the runs have one seed"):
        demo.take_over([run(tmp_path, 0), run(tmp_path, 0)])


def test_the_page_says_what_the_files_say() -> None:
    said = demo.text([json.loads(path.read_text()) for path in COMMITTED])
    assert f"{demo.BEGIN}\n{said}\n{demo.END}" in demo.PAGE.read_text()


def test_runs_change_the_page_between_its_markers_alone(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{demo.BEGIN}\nold\n{demo.END}\nbelow\n")
    monkeypatch.setattr(demo, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["demo.py", str(run(tmp_path, 7, real_episodes=123, demonstrations=45))])
    demo.main()
    before, said = page.read_text().split(demo.BEGIN)
    said, after = said.split(demo.END)
    assert (before, after) == ("above\n", "\nbelow\n") and "old" not in said
    assert "| 7 | 123 (45) |" in said, "a run's real episodes are all that it used, demonstrations among them"
    assert sorted(contents(results)) == sorted([*(path.name for path in COMMITTED), "demo-seed7.json"])

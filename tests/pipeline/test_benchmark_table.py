"""The Meta-World table: means, paired differences over seeds, the paper's column, and what must be said beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from world4rl.benchmark.metaworld import _held, rows_of
from world4rl.benchmark.table import departures_from_paper, difference, notes, result, table
from world4rl.runs.outcomes import POLICIES, encode_outcomes
from world4rl_policy.statistics import compare
from world4rl_wm.measures.concordance import Tried, concordance


def row(task: str, seed: int, rates: dict[str, float], steps: int = 30, kept: bool = False) -> dict[str, Any]:
    """A finished row whose policies solve the first part of 200 start states."""
    solved = {name: [i < 200 * rate for i in range(200)] for name, rate in rates.items()}
    return {
        "task": task,
        "seed": seed,
        "preset": "tiny" if steps == 30 else "paper",
        "contract": "metaworld_32",
        "episode_steps": steps,
        "episodes": 200,
        **{f"{name}_success": float(np.mean(found)) for name, found in solved.items()},
        "outcomes": {name: encode_outcomes(found) for name, found in solved.items()},
        "paired": {"refined_vs_bc": compare(solved["bc"], solved["refined"]).to_dict()},
        "replay_check": {"j": None if kept else 0.84},
        "world_model": {"mode": "per-task", "tasks": [task]},
        "real_episodes": 292,
        "refinement": {"kept_start_policy": kept, "iteration": 0 if kept else 48},
        "wall_s": {"world models": 1800.0},
        "machine": {},
        "versions": {},
    }


GOOD = {"bc": 0.4, "filtered_bc": 0.5, "refined": 0.7}
SAME = dict.fromkeys(POLICIES, 0.3)
ROWS = [row("lever-pull-v3", 0, GOOD), row("lever-pull-v3", 1, GOOD), row("door-lock-v3", 0, SAME, kept=True)]


def test_means_and_paired_differences() -> None:
    found = result(ROWS)
    assert found["means"]["bc"] == pytest.approx((0.4 + 0.4 + 0.3) / 3)
    assert found["refined_rows"] == 2 and found["hours"] == pytest.approx(1.5)
    gain = found["differences"]["refined_minus_bc"]
    assert gain["mean"] == pytest.approx(found["means"]["refined"] - found["means"]["bc"])  # seed 1 lacks a task
    assert gain["low"] <= gain["mean"] <= gain["high"]
    nothing = difference(ROWS, "bc", "bc")
    assert nothing == {"mean": 0.0, "low": 0.0, "high": 0.0, "seed_t95": pytest.approx((0.0, 0.0))}
    assert difference(ROWS[1:], "bc", "refined")["seed_t95"] is None
    assert "one seed a task says nothing of others" in notes(result(ROWS[1:]))
    assert json.loads(json.dumps(found))["tasks"][0]["task"] == "lever-pull-v3"


def test_the_table_stands_next_to_the_papers_column() -> None:
    lines = table(result(ROWS)).splitlines()
    assert lines[2].startswith("| door-lock | 0 | 30.0% |") and "undecided | filtered BC |  |" in lines[2]
    assert lines[3].startswith("| lever-pull | 0 | 40.0% | 50.0% | 70.0% | +30.0 [")
    assert lines[3].endswith("| 0.84 | iteration 48 | +21 |")
    assert lines[-1].startswith("| mean |") and "51.5% to 67.5%" in lines[-1]
    assert len({line.count("|") for line in lines}) == 1


SIX = [f"{task}-v3" for task in ("coffee-pull", "dial-turn", "door-lock", "lever-pull", "soccer", "window-open")]


def paper_rows(tasks: list[str] = SIX, **other: Any) -> list[dict[str, Any]]:
    """Three seeds of each task as the paper's protocol has them; `other` is what the last one has otherwise."""
    protocol = {
        "contract": "metaworld_64",
        "settings": {"preset": "metaworld/paper", "changed": {"collect.workers": 2}},
        "trajectories": {"expert": 50, "policy": 150, "random": 30},
        "real_episodes": 230,
        "world_model": {"mode": "shared", "tasks": tasks},
    }
    rows = [row(task, seed, GOOD, steps=50) | protocol for task in tasks for seed in range(3)]
    return [*rows[:-1], rows[-1] | other]


def test_the_papers_protocol_is_that_in_every_row() -> None:
    found = result(paper_rows())
    assert found["paper_protocol"] and "not the paper's" not in notes(found)


def test_the_paper_has_six_tasks_and_one_world_model_over_them() -> None:
    """`--tasks soccer` is no table of the paper's, and six of such are none either."""
    few = ["a world model over fewer than 6 tasks", "fewer than 6 tasks"]
    assert departures_from_paper(paper_rows(["soccer-v3"])) == departures_from_paper(paper_rows(SIX[:5])) == few
    assert departures_from_paper([one for task in SIX for one in paper_rows([task])]) == few[:1]
    unfinished = [one for one in paper_rows() if one["task"] != "soccer-v3"]
    assert departures_from_paper(unfinished) == few[1:]


def test_the_replay_checks_episodes_are_more_than_the_paper_has() -> None:
    """Policies learn from their successes, though the world model does not."""
    checked = [one | {"real_episodes": 430} for one in paper_rows()]
    assert departures_from_paper(checked) == ["430 real episodes a task, the paper has 230"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"settings": {"preset": "metaworld/paper", "changed": {"collect.demonstrations": 2}}},
            "collect.demonstrations=2",
        ),
        ({"settings": {"preset": "metaworld/base", "changed": {}}, "preset": "base"}, "preset base"),
        ({"settings": {"preset": "tiny", "changed": {}}, "preset": "my/paper.yaml"}, "preset my/paper.yaml"),
        ({"settings": None}, "preset paper with settings that are not known"),
        (
            {"trajectories": {"expert": 50, "policy": 180, "random": 30}},
            "50 expert, 180 policy, 30 random trajectories",
        ),
        ({"trajectories": {"expert": 50, "policy": 150}}, "50 expert, 150 policy trajectories"),
        ({"real_episodes": 430}, "230 to 430 real episodes a task, the paper has 230"),
        ({"episode_steps": 49}, "49-step episodes at the contract metaworld_64"),
        ({"contract": "mine"}, "50-step episodes at the contract mine"),
        ({"world_model": {"mode": "per-task"}}, "a world model for each task"),
        ({"seed": 1}, "fewer than 3 seeds of a task"),
    ],
)
def test_one_row_may_depart_from_the_papers_protocol(other: dict[str, Any], said: str) -> None:
    """Whatever its preset is called."""
    assert departures_from_paper(paper_rows(**other)) == [said]


def test_what_is_not_the_papers_protocol_says_so() -> None:
    changed = {"preset": "metaworld/paper", "changed": {"collect.demonstrations": 2}}
    trajectories = {"expert": 2, "policy": 150, "random": 30}
    found = result(paper_rows(settings=changed, trajectories=trajectories))
    assert not found["paper_protocol"]
    told = "not the paper's protocol (collect.demonstrations=2; 2 expert, 150 policy, 30 random trajectories)"
    assert told in notes(found)


def test_rows_of_before_they_told_their_settings_are_printed() -> None:
    found = result(ROWS)
    assert "preset tiny with settings that are not known; 30-step episodes" in notes(found) and table(found)


def test_a_task_that_got_worse_is_named() -> None:
    fine = result(ROWS[:1])
    assert fine["worse_than_bc"] == [] and "rather than too seldom: none" in notes(fine)
    lost = result([*ROWS, row("soccer-v3", 0, {"bc": 0.5, "filtered_bc": 0.5, "refined": 0.2})])
    assert lost["worse_than_bc"] == ["soccer"] and "rather than too seldom: soccer" in notes(lost)


def test_rows_are_found_wherever_they_were_made(tmp_path: Path) -> None:
    for number, made in enumerate(ROWS):
        folder = tmp_path / f"seed-{made['seed']}" / f"{made['task']}{number}"
        folder.mkdir(parents=True)
        (folder / "row.json").write_text(json.dumps(made))
    (tmp_path / "seed-0" / "shared").mkdir()
    assert len(rows_of(tmp_path)) == 3
    assert "imagined against real" not in notes(result(rows_of(tmp_path)))


def test_imagined_against_real_is_told_for_the_rows_that_it_was_measured_on(tmp_path: Path) -> None:
    real = np.arange(20) < 10
    for number, (made, imagined) in enumerate(zip(ROWS, (real, np.ones(20, bool), None), strict=True)):
        folder = tmp_path / f"seed-{made['seed']}" / f"{made['task']}{number}"
        folder.mkdir(parents=True)
        (folder / "row.json").write_text(json.dumps(made))
        if imagined is not None:
            tried = [Tried(0, real & False, imagined & False, real * 0.0), Tried(48, real, imagined, imagined * 1.0)]
            (folder / "concordance.json").write_text(json.dumps(concordance(tried, 0).to_dict()))
    found = result(rows_of(tmp_path))
    assert sum("concordance" in made for made in found["tasks"]) == 2
    said = next(line for line in notes(found).splitlines() if "imagined against real" in line)
    assert "2 rows" in said and "+12.5 points" in said and "(+0.0 to +25.0)" in said
    assert "2 of 2 pairs" in said and "50.0 points below the best one (at most 50.0), too much on average" in said


def test_two_processes_do_not_do_the_same_row(tmp_path: Path) -> None:
    with _held(tmp_path / "row") as first, _held(tmp_path / "row") as second, _held(tmp_path / "other") as other:
        assert (first, second, other) == (True, False, True)
    with _held(tmp_path / "row") as again:
        assert again


def test_tasks_that_share_a_world_model_are_one_training_a_seed() -> None:
    """Else three trainings of ten tasks would pass for thirty."""
    rates = {0: 0.5, 1: 0.7, 2: 0.9}
    rows = [row(f"{task}-v3", seed, {**SAME, "refined": rate}) for seed, rate in rates.items() for task in ("a", "b")]
    shared = [one | {"world_model": {"mode": "shared"}} for one in rows]
    (low, high), (own_low, own_high) = (difference(some, "bc", "refined")["seed_t95"] for some in (shared, rows))
    assert low < own_low < 0.4 < own_high < high


def test_seeds_that_lack_a_task_have_no_interval_over_seeds() -> None:
    """Seed 1 has the easier task alone: its mean lies elsewhere by that, and the mean of all rows is another."""
    rows = [row("a-v3", 0, GOOD), row("a-v3", 1, GOOD), row("b-v3", 0, SAME), row("b-v3", 1, SAME)]
    shared = [one | {"world_model": {"mode": "shared"}} for one in rows]
    whole, lacking = result(shared), result(shared[:3])
    assert whole["differences"]["refined_minus_bc"]["seed_t95"] == pytest.approx((0.15, 0.15))
    assert lacking["differences"]["refined_minus_bc"]["seed_t95"] is None
    assert "no interval over seeds, rows are missing: b, seed 1" in notes(lacking) and "missing" not in notes(whole)
    assert difference(rows[:3], "bc", "refined")["seed_t95"] is not None, "each row has world models of its own"


def test_of_a_loss_over_seeds_the_bootstrap_alone_warns() -> None:
    """Not beyond chance in any seed, nor by Student's t; a gain of that size would not be claimed."""
    lost = [row("soccer-v3", seed, SAME | {"refined": 0.3 - 0.005 * few}) for seed, few in enumerate((1, 4, 5))]
    found = result(lost)
    over_seeds = found["differences"]["refined_minus_bc"]
    assert over_seeds["high"] < 0 < over_seeds["seed_t95"][1]
    assert found["worse_than_bc"] == ["soccer"] and "over seeds by the bootstrap alone" in notes(found)


def test_a_handful_of_episodes_is_no_loss() -> None:
    """Five lost and none gained: the bootstrap's interval is off zero, McNemar's p is .0625."""
    few = row("soccer-v3", 0, {"bc": 0.5, "filtered_bc": 0.5, "refined": 0.475})
    assert few["paired"]["refined_vs_bc"]["ci95"][1] < 0
    assert result([few])["worse_than_bc"] == []

"""What the table of the one policy of all tasks says of the mean."""

from __future__ import annotations

from typing import Any

from world4rl.benchmark.one_policy.table import one_policy_table
from world4rl_policy.statistics import compare


def row(task: str, seed: int, gained: int, lost: int = 0) -> dict[str, Any]:
    """Of ten start states, `gained` that the refined policy alone solves and `lost` that it alone does not."""
    before = [False] * gained + [True] * (10 - gained)
    after = [True] * (10 - lost) + [False] * lost
    pair = compare(before, after).to_dict()
    rates = {f"{name}_success": 0.5 for name in ("filtered_bc", "refined", "filtered_bc_alone", "refined_alone")}
    told = {"replay_check": {"j": 0.5}, "practised": True, "refinement": {"kept_start_policy": False}}
    return {"task": task, "seed": seed, **rates, **told, "paired": dict.fromkeys(PAIRS, pair)}


PAIRS = ("refined_vs_filtered_bc", "refined_vs_alone")


def means(*rows: dict[str, Any]) -> list[str]:
    return one_policy_table(rows).splitlines()[-1].split(" | ")[4:6]


def test_over_seeds_students_t_stands_beside_the_bootstrap() -> None:
    """Each seed is one training: both its tasks gain by 10 or by 30 points, and t of two such seeds is wide."""
    rows = [row(task, seed, gained) for task in ("a-v3", "b-v3") for seed, gained in ((0, 1), (1, 3))]
    assert all(words.startswith("+20.0, t [-107.1, +147.1], bootstrap [+") for words in means(*rows))


def test_a_single_seed_says_nothing_of_others() -> None:
    assert means(row("a-v3", 0, 1), row("b-v3", 0, 3)) == ["+20.0", "+20.0"]


def test_seeds_of_other_tasks_give_no_t() -> None:
    """How far the tasks lie apart would pass for how far the seeds do."""
    words = means(row("a-v3", 0, 1), row("b-v3", 0, 3), row("a-v3", 1, 1))
    assert all(one.startswith("+16.7, bootstrap [") for one in words)

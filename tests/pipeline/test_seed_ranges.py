"""Start states by purpose never overlap: nothing is judged on what it has learned from."""

from __future__ import annotations

from itertools import pairwise

import pytest

from world4rl.runs.seed_ranges import PURPOSES, SeedRanges


def test_no_two_purposes_of_any_runs_share_a_seed() -> None:
    """Over runs too: a policy of one run must not have practised on another's test."""
    ranges = sorted(SeedRanges(run).to_dict()[purpose] for run in range(200) for purpose in PURPOSES)
    assert all(last < first for (_, last), (first, _) in pairwise(ranges))
    assert ranges[0][0] > 0


def test_the_ranges_are_those_of_what_was_published() -> None:
    """Another range would change every number that a seed reproduces."""
    assert SeedRanges(0).to_dict() == {
        "demonstrate": [100_000, 109_999],
        "train": [110_000, 119_999],
        "random": [120_000, 124_999],
        "select": [125_000, 129_999],
        "scout": [130_000, 139_999],
        "replay_check": [140_000, 149_999],
        "evaluate": [150_000, 159_999],
        "deploy": [160_000, 169_999],
        "measure": [170_000, 179_999],
        "concordance": [180_000, 189_999],
        "loop": [190_000, 199_999],
    }
    assert SeedRanges(3).take("evaluate", 1) == range(450_000, 450_001)


def test_what_is_taken_lies_in_the_range_that_is_reported() -> None:
    for seed in (0, 7):
        seeds = SeedRanges(seed)
        for purpose in PURPOSES:
            first, last = seeds.to_dict()[purpose]
            taken = seeds.take(purpose, last - first + 1)
            assert (taken[0], taken[-1]) == (first, last)
            assert list(seeds.take(purpose, 3)) == [first, first + 1, first + 2]


def test_more_than_is_set_apart_is_refused() -> None:
    seeds = SeedRanges(0)
    first, last = seeds.to_dict()["evaluate"]
    with pytest.raises(ValueError, match="start states for evaluate"):
        seeds.take("evaluate", last - first + 2)


def test_unknown_purposes_are_refused() -> None:
    with pytest.raises(ValueError):
        SeedRanges(0).take("rehearse", 1)

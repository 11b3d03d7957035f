"""Intervals and tests against numbers known from elsewhere: a claim of success rests on them."""

from __future__ import annotations

import numpy as np
import pytest

from world4rl_policy.statistics import (
    clustered_interval,
    compare,
    crossed_interval,
    seed_interval,
    seeds_verdict,
    verdict,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "episodes", "interval"),
    [
        (8, 10, (0.4902, 0.9433)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (81, 263, (0.2553, 0.3662)),  # Newcombe 1998, table I
        (15, 148, (0.0624, 0.1605)),  # the same
    ],
)
def test_wilson(successes: int, episodes: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx(interval, abs=1e-4)


def outcomes(gained: int, lost: int, both: int, neither: int) -> tuple[list[bool], list[bool]]:
    a = [False] * gained + [True] * lost + [True] * both + [False] * neither
    b = [True] * gained + [False] * lost + [True] * both + [False] * neither
    return a, b


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(5, 0, 2 / 32), (9, 1, 22 / 1024), (1, 9, 22 / 1024), (3, 3, 1.0), (0, 0, 1.0)]
)
def test_mcnemar_is_exact_and_looks_at_what_differs_alone(gained: int, lost: int, p: float) -> None:
    for agreeing in (0, 50):
        found = compare(*outcomes(gained, lost, agreeing + 1, agreeing))
        assert found.mcnemar_p == pytest.approx(p)
        assert (found.gained, found.lost) == (gained, lost)
        assert found.episodes == gained + lost + 2 * agreeing + 1
        assert found.difference == pytest.approx((gained - lost) / found.episodes)


def test_paired_interval_is_that_of_a_mean() -> None:
    """With many episodes the bootstrap agrees with the normal approximation."""
    a, b = outcomes(60, 20, 200, 120)
    found = compare(a, b)
    difference = np.array(b, float) - np.array(a, float)
    half = 1.96 * difference.std() / np.sqrt(len(difference))
    assert found.ci95 == pytest.approx((0.1 - half, 0.1 + half), abs=0.006)
    swapped = compare(b, a)
    assert swapped.difference == -found.difference
    assert swapped.ci95 == pytest.approx((-found.ci95[1], -found.ci95[0]), abs=0.006)


def test_equal_policies_differ_by_nothing() -> None:
    found = compare([True, False, True], [True, False, True])
    assert found.difference == 0 and found.ci95 == (0, 0)


def test_unpaired_lists_are_refused() -> None:
    for a, b in (([True], [True, False]), ([], [])):
        with pytest.raises(ValueError, match="the same start states for both"):
            compare(a, b)


def seeds(rates: list[float], episodes: int = 100) -> list[np.ndarray]:
    return [np.repeat([1.0, 0.0], [round(r * episodes), episodes - round(r * episodes)]) for r in rates]


def naive_width(differences: list[np.ndarray]) -> float:
    pooled = np.concatenate(differences)
    low, high = compare([False] * len(pooled), list(pooled > 0)).ci95
    return high - low


def test_clustered_interval_is_wider_where_seeds_differ() -> None:
    """Episodes of one training seed are not independent: pooling them would promise too much."""
    differences = seeds([0.05, 0.2, 0.5, 0.8, 0.95])
    mean, low, high = clustered_interval(differences, resamples=1500)
    assert mean == pytest.approx(0.5)
    assert low < mean < high
    assert high - low > 3 * naive_width(differences)


def test_clustered_interval_is_no_wider_where_seeds_agree() -> None:
    differences = seeds([0.3] * 5)
    mean, low, high = clustered_interval(differences, resamples=1500)
    assert mean == pytest.approx(0.3)
    assert high - low == pytest.approx(naive_width(differences), rel=0.2)
    half = 1.96 * (0.3 * 0.7 / 100) ** 0.5  # of one seed's episodes, by the normal approximation: 95 %, not 90
    _, low, high = clustered_interval(seeds([0.3]), resamples=4000)
    assert (low, high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.011)


def test_trainings_on_the_same_episodes_do_not_make_them_more() -> None:
    """Of trainings that are all alike the interval is that of one; drawing episodes for each would narrow it."""
    outcomes = np.array([1.0] * 30 + [0.0] * 70)
    mean, low, high = crossed_interval([outcomes] * 3)
    alone = compare([False] * 100, list(outcomes > 0)).ci95
    assert (mean, low, high) == pytest.approx((0.3, *alone), abs=0.011)
    assert crossed_interval([outcomes])[1:] == pytest.approx(alone, abs=0.011)
    _, *nested = clustered_interval([outcomes] * 3, resamples=1500)
    assert high - low > 1.5 * (nested[1] - nested[0])


def test_crossed_interval_is_wider_where_trainings_differ() -> None:
    mean, low, high = crossed_interval(seeds([0.05, 0.2, 0.5, 0.8, 0.95]))
    alone = compare([False] * 100, [True] * 50 + [False] * 50).ci95
    assert mean == pytest.approx(0.5) and high - low > 2 * (alone[1] - alone[0])


def test_crossed_intervals_hold_the_truth() -> None:
    """Trainings of different skill on episodes of different difficulty: 95 % intervals hold the true mean about
    that often; those that draw episodes for each training apart do so far less often."""
    rng = np.random.default_rng(0)
    held = {crossed_interval: 0, clustered_interval: 0}
    for _ in range(60):
        table = rng.normal(0, 0.1, (12, 1)) + rng.normal(0, 1, (1, 40)) + rng.normal(0, 0.3, (12, 40))
        for interval in held:
            _, low, high = interval(table, resamples=100)
            held[interval] += low <= 0 <= high
    assert held[crossed_interval] >= 53 > 40 > held[clustered_interval]


def test_every_episode_weighs_the_same() -> None:
    """A seed with fewer tasks counts for less: the mean is that of the rows."""
    assert clustered_interval([np.ones(300), np.zeros(100)], resamples=20)[0] == pytest.approx(0.75)


def test_seed_interval_is_students() -> None:
    """Of 1, 2 and 3 the standard error is 1 / sqrt(3), and t of two degrees of freedom 4.303."""
    assert seed_interval([[1.0, 2.0, 3.0]]) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
    assert seed_interval([[1.0], [5.0]]) is None


def test_seed_interval_pools_tasks_that_lie_apart() -> None:
    low, high = seed_interval([[1.0, 2.0, 3.0], [101.0, 102.0, 103.0]]) or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(52) and (high - low) / 2 == pytest.approx(2.776 / 6**0.5, abs=1e-3)


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.1])
def test_seed_interval_covers_what_the_bootstrap_of_few_seeds_misses(spread: float) -> None:
    """Three seeds of 200 episodes whose true difference varies: 95 of 100 intervals must hold the mean."""
    rng = np.random.default_rng(0)
    held, trials = 0, 2000
    for _ in range(trials):
        means = rng.normal(0.2, spread, 3) + rng.normal(0, 0.5 / 200**0.5, 3)
        low, high = seed_interval([means.tolist()]) or (0.0, 0.0)
        held += low <= 0.2 <= high
    assert 0.93 < held / trials < 0.97


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((0.1, 0.3, 0.0), "better"),
        ((-0.3, -0.1, 0.0), "worse"),
        ((-0.1, 0.1, 0.0), "undecided"),
        ((0.01, 0.1, 0.06), "undecided"),
        ((-0.1, -0.01, 0.04), "worse"),
    ],
)
def test_better_takes_the_interval_and_the_exact_test(found: tuple[float, float, float], told: str) -> None:
    low, high, p = found
    assert verdict(low, high, mcnemar_p=p) == told


@pytest.mark.parametrize(
    ("by_t", "bootstrap", "p", "told"),
    [
        ((0.1, 0.3), (0.15, 0.25), 0.001, "better"),
        ((-0.3, -0.1), (-0.25, -0.15), 0.001, "worse"),
        ((-0.1, 0.5), (0.1, 0.3), 0.001, "undecided"),  # few seeds
        ((0.005, 0.005), (0.0, 0.0125), 0.001, "undecided"),  # seeds that are alike by chance
        ((0.01, 0.01), (0.0025, 0.02), 0.125, "undecided"),  # both, and two of 200 episodes gained in each of two seeds
    ],
)
def test_over_seeds_both_intervals_and_the_pairs_of_all_seeds_must_agree(
    by_t: tuple[float, float], bootstrap: tuple[float, float], p: float, told: str
) -> None:
    assert seeds_verdict(by_t, bootstrap, mcnemar_p=p) == told

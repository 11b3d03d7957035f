"""Imagined against real: every figure by hand, answers where there is nothing to compare, and the verdict's limits."""

from __future__ import annotations

import numpy as np
import pytest

from world4rl_wm.measures.concordance import Concordance, Tried, concordance, reliability_bins

N = 20


def tried(iteration: int, real: int, imagined: int, times: int = 1) -> Tried:
    """The first `real` of N start states are solved in reality, the first `imagined` in the dream, each of them `times`
    over."""
    states = np.repeat(np.arange(N), times)
    won, dreamed = states < real, states < imagined
    return Tried(iteration, won, dreamed, np.where(dreamed, 0.95, 0.05))


def test_a_true_dream() -> None:
    found = concordance([tried(0, 8, 9), tried(10, 13, 13), tried(20, 18, 18)], chosen=20)
    assert found.bias.mean == pytest.approx(1 / 60) and found.bias.low <= 1 / 60 <= found.bias.high
    assert (found.spearman, found.ordered, found.pairs, found.regret) == (pytest.approx(1), 3.0, 3, 0.0)
    # 39 of 40 believed at .95 came true, and 0 of 20 believed at .05: distances .975 - .95 and .05
    assert found.calibration_error == pytest.approx((40 * 0.025 + 20 * 0.05) / 60)
    assert found.verdict() == "trusted"
    assert found.sentence().startswith("The dream could be trusted: it promised 2 points more than came true")
    assert "3 of 3 pairs" in found.sentence() and found.sentence().endswith("the best one in reality.")


def test_an_exploited_dream() -> None:
    """Success rises in the dream while it falls in reality."""
    found = concordance([tried(0, 10, 10), tried(10, 5, 14), tried(20, 0, 20)], chosen=20)
    assert found.bias.mean == pytest.approx((0 + 9 + 20) / 60)
    assert (found.spearman, found.ordered, found.pairs, found.regret) == (pytest.approx(-1), 0.0, 3, 0.5)
    assert found.verdict() == "not trusted"
    assert "could not be trusted: it promised 48 points more" in found.sentence()
    assert 0.2 < found.regret_low < 0.5
    assert f"50 points below the best one in reality (95 %: at least {100 * found.regret_low:.2g})" in found.sentence()


def test_what_was_kept_is_judged_by_and_the_dream_is_not() -> None:
    """Nothing beat the start policy, and another one was kept: the regret is its, all else that of those tried."""
    policies = [tried(0, 11, 11), tried(10, 16, 17)]
    found = concordance(policies, 0, np.arange(N) < 15)
    assert found.regret == pytest.approx(1 / 20) and found.verdict() == concordance(policies, 10).verdict()
    assert (found.bias, found.pairs) == (concordance(policies, 0).bias, 1)
    assert concordance(policies, 0, np.arange(N) < 18).regret == 0.0
    assert concordance(policies, 0).regret == pytest.approx(5 / 20), "that of the start policy"


def test_ties_count_half_and_close_pairs_are_not_asked_for() -> None:
    found = concordance([tried(0, 10, 12, 5), tried(10, 11, 12, 5), tried(20, 13, 12, 5)], chosen=20)
    # apart by 5, 15 and 10 points: two pairs to order, both tied in the dream
    assert (found.ordered, found.pairs, found.spearman) == (1.0, 2, None)


def test_pairs_apart_by_what_may_be_chance_are_not_asked_for() -> None:
    assert concordance([tried(0, 10, 12), tried(10, 12, 10)], chosen=0).pairs == 0, "2 of 20 start states"
    assert concordance([tried(0, 10, 12, 5), tried(10, 12, 10, 5)], chosen=0).pairs == 1, "10 of 100"


def test_regret_by_chance_is_not_held_against_the_dream() -> None:
    few, many = (concordance([tried(0, 10, 10, n), tried(10, 12, 12, n), tried(20, 18, 18, n)], 10) for n in (1, 40))
    assert few.regret == many.regret == pytest.approx(0.3)
    assert few.regret_low < many.regret_low < 0.3 and many.verdict() == "not trusted"
    luck = concordance([tried(0, 10, 10), tried(10, 12, 12)], 0)
    assert (luck.regret, luck.regret_low, luck.verdict()) == (pytest.approx(0.1), 0.0, "undecided")
    assert luck.sentence().endswith("10 points below the best one in reality, which chance can do as well.")


def test_equally_good_policies_in_a_true_dream_are_rarely_not_trusted() -> None:
    """Any of five is a good choice, but the best of five rates of 50 lies 5 points above it half of the time."""
    rng = np.random.default_rng(0)
    told = []
    for _ in range(40):
        real, imagined = rng.random((2, 5, 50)) < 0.7
        told.append(concordance([Tried(i, real[i], imagined[i], imagined[i] * 1.0) for i in range(5)], chosen=0))
    assert sum(one.regret > 0.05 for one in told) >= 15
    assert sum(one.verdict() == "not trusted" for one in told) <= 4
    assert sum(one.regret_low > 0.05 for one in told) <= 2


@pytest.mark.parametrize(
    ("policies", "chosen", "verdict"),
    [
        ([(0, 10, 10)], 0, "undecided"),  # nothing to order
        ([(0, 10, 13)], 0, "not trusted"),  # 15 points of bias
        ([(0, 10, 10), (10, 11, 11)], 0, "undecided"),  # 5 points of regret are within, but nothing to order
        ([(0, 10, 10), (10, 12, 12)], 0, "undecided"),  # 10 points of regret, of 100 start states
        ([(0, 10, 10), (10, 14, 14)], 0, "not trusted"),  # 20 points
        ([(0, 10, 12), (10, 12, 11)], 10, "not trusted"),  # wrong order
        ([(0, 10, 10), (10, 12, 12)], 10, "trusted"),
        (
            [(0, 10, 8), (10, 12, 10)],
            10,
            "undecided",
        ),  # 10 points, whose interval is wider
    ],
)
def test_limits(policies: list[tuple[int, int, int]], chosen: int, verdict: str) -> None:
    found = concordance([tried(*one, times=5) for one in policies], chosen)
    assert found.verdict() == verdict == found.to_dict()["verdict"]
    assert found.spearman is None


def test_one_policy_has_no_order() -> None:
    found = concordance([tried(0, 10, 10)], 0)
    assert found.sentence().startswith("Too little was tried to say whether the dream could be trusted: ")
    assert "no two policies differ enough" in found.sentence()


def test_reliability_bins_by_hand() -> None:
    belief = np.array([0.0, 0.04, 0.1, 0.55, 0.55, 1.0])
    bins = reliability_bins(belief, np.array([0.0, 1, 0, 1, 0, 1]))
    assert [(one.low, one.count) for one in bins] == [(0.0, 2), (pytest.approx(0.1), 1), (0.5, 2), (0.9, 1)]
    assert [one.real for one in bins] == [0.5, 0.0, 0.5, 1.0]
    assert [one.belief for one in bins] == pytest.approx([0.02, 0.1, 0.55, 1.0])


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one policy"):
        concordance([], 0)
    with pytest.raises(ValueError, match="iteration 7 was chosen"):
        concordance([tried(0, 1, 1)], 7)


def test_figures_are_plain_for_json() -> None:
    import json

    found: Concordance = concordance([tried(0, 10, 10), tried(10, 12, 12)], 10)
    assert json.loads(json.dumps(found.to_dict()))["limits"] == {"bias": 0.1, "regret": 0.05, "ordered": 0.75}

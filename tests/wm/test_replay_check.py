"""The replay check decides whether a dream is trusted: its counts, bounds and verdicts, and what counts as a dream's
success."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import Tensor

from world4rl_wm.measures.replay import Replay, labelled_dreams, streaks, success_steps, verdicts
from world4rl_wm.measures.replay_check import ReplayCheck, ReplayCheckConfig, as_newest_allows, judge, undecided


def case(
    true_positive: int, successes: int, false_positive: int, failures: int, policy_dreamed: float | None = None
) -> ReplayCheck:
    real = torch.tensor([True] * successes + [False] * failures)
    dreamed = torch.tensor(
        [n < true_positive for n in range(successes)] + [n < false_positive for n in range(failures)]
    )
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
    return judge(real[order], dreamed[order], policy_dreamed=policy_dreamed)


def test_rates_and_exact_bounds() -> None:
    check = case(18, 20, 1, 25)
    assert (check.tpr, check.fpr) == (0.9, 0.04) and check.j == pytest.approx(0.86)
    assert (check.successes, check.failures) == (20, 25)
    low = binomtest(18, 20, alternative="greater").proportion_ci(0.95, "exact").low
    high = binomtest(1, 25, alternative="less").proportion_ci(0.95, "exact").high
    assert check.tpr_low == pytest.approx(low) and low == pytest.approx(0.7174, abs=1e-4)
    assert check.fpr_high == pytest.approx(high) and high == pytest.approx(0.1761, abs=1e-4)


def test_bounds_of_a_perfect_dream_have_a_closed_form() -> None:
    """All of n right: the bound is the rate at which that would happen once in twenty times."""
    check = case(30, 30, 0, 50)
    assert check.tpr_low == pytest.approx(0.05 ** (1 / 30))
    assert check.fpr_high == pytest.approx(1 - 0.05 ** (1 / 50))
    worst = case(0, 30, 50, 50)
    assert (worst.tpr_low, worst.fpr_high, worst.j) == (0.0, 1.0, -1.0)


@pytest.mark.parametrize(
    ("counts", "verdict", "words"),
    [
        ((20, 20, 0, 20), "refine", "tells success from failure"),
        ((18, 20, 2, 20), "refine", "J = 0.80"),
        ((17, 20, 2, 20), "refine_cautiously", "small steps"),
        ((15, 20, 5, 20), "refine_cautiously", "J = 0.50"),
        ((5, 20, 2, 20), "refine_cautiously", "J = 0.15"),
        ((3, 20, 1, 20), "keep", "cannot tell success from failure"),
        ((20, 20, 20, 20), "keep", "cannot tell success from failure"),  # dreams nothing but success
        ((0, 20, 0, 20), "keep", "cannot tell success from failure"),  # dreams nothing but failure
        ((0, 20, 20, 20), "keep", "J = -1.00"),
    ],
)
def test_verdicts(counts: tuple[int, int, int, int], verdict: str, words: str) -> None:
    check = case(*counts)
    assert check.verdict == verdict and words in check.reason
    assert check.passed == (verdict != "keep")
    assert check.to_dict()["passed"] == check.passed and check.to_dict()["episodes"] == 40


def test_a_dream_whose_successes_are_mostly_false_is_not_practised_in() -> None:
    """The policy succeeds in one episode of five: J says little of what it would learn from."""
    check = case(18, 24, 17, 96)
    assert 0.5 < check.j < 0.8 and check.verdict == "keep"
    assert "only 51% would be real" in check.reason and check.to_dict()["precision"] == pytest.approx(18 / 35)
    assert case(18, 24, 7, 96).verdict == "refine_cautiously"
    assert case(0, 24, 0, 96).precision == 0.0


def test_a_figure_just_below_its_limit_is_not_told_as_the_limit() -> None:
    """Of a share that "only 70% would be real, below 70%" nobody would learn anything."""
    rare = case(90, 100, 39, 100)
    assert rare.cause == "precision" and "only 69.8% would be real, below 70%" in rare.reason
    near = case(870, 1000, 73, 1000)
    assert near.j == 0.797 and near.reason.startswith("J = 0.797 is below 0.8")


def test_a_precision_of_exactly_the_limit_is_enough() -> None:
    """7 of 10 dreamed successes are real, whatever the rates are: no rounding stands in between."""
    for counts in ((7, 10, 3, 95), (7, 15, 3, 60), (14, 19, 6, 18), (14, 15, 6, 60), (7, 10, 3, 10)):
        assert case(*counts).cause is None, counts
    assert case(14, 20, 7, 21).cause == "precision"


def test_precision_is_that_of_the_policy_that_is_to_practise() -> None:
    """The episodes are those of a policy that succeeds in a third; filtered BC succeeds in
    seven of eight and would learn from true successes. One that fails nearly always would not."""
    rates = (38, 40, 26, 80)  # TPR .95, FPR .325
    alone, better, worse = case(*rates), case(*rates, 0.87), case(*rates, 0.40)
    assert alone.precision == pytest.approx(38 / 64) and alone.policy_success is None and not alone.passed
    assert better.policy_success == pytest.approx((0.87 - 0.325) / 0.625)
    true, false = 0.95 * better.policy_success, 0.325 * (1 - better.policy_success)
    assert better.precision == pytest.approx(true / (true + false)) and better.precision > 0.95
    assert better.verdict == "refine_cautiously" and better.to_dict()["policy_success"] == better.policy_success
    assert worse.policy_success == pytest.approx(0.12) and worse.verdict == "keep"
    assert f"only {worse.precision:.0%} would be real" in worse.reason


def test_dreamed_successes_beyond_all_real_ones_are_false() -> None:
    """All of its successes being real explains only a part of what such a policy dreams."""
    much = case(59, 100, 25, 100, policy_dreamed=0.68)
    assert much.policy_success == 1.0 and much.precision == pytest.approx(0.59 / 0.68)
    assert case(59, 100, 25, 100, policy_dreamed=0.59).precision == 1.0
    enough = case(59, 100, 25, 100, policy_dreamed=0.9)
    assert enough.verdict == "keep" and "only 66% would be real" in enough.reason


def test_a_newest_policy_that_deceives_the_dream_is_not_outvoted() -> None:
    limits = ReplayCheckConfig()
    true, half, false = case(95, 100, 5, 100), case(15, 20, 5, 20), case(15, 20, 14, 20)
    assert as_newest_allows(true, false, limits).verdict == "keep"
    assert "newest policy's own 40 episodes J = 0.05" in as_newest_allows(true, false, limits).reason
    assert as_newest_allows(true, half, limits).verdict == "refine_cautiously"
    assert as_newest_allows(half, true, limits) == half, "it never allows more"
    few = case(9, 9, 9, 9)
    assert few.verdict == "keep" and as_newest_allows(true, few, limits) == true, "too few to decide"
    enough = case(5, 10, 5, 10)
    assert as_newest_allows(true, enough, limits).verdict == "keep", "10 of each are enough"


def test_a_refusal_has_a_cause() -> None:
    unsure, few = case(17, 20, 2, 20), case(9, 9, 0, 100)
    assert (case(20, 20, 0, 20).cause, unsure.cause, few.cause) == (None, None, "undecided")
    assert (case(3, 20, 1, 20).cause, case(18, 24, 17, 96).cause) == ("j", "precision")
    limits, false = ReplayCheckConfig(), case(15, 20, 14, 20)
    assert as_newest_allows(case(95, 100, 5, 100), false, limits).cause == "j"
    assert undecided(4, 46, limits).cause == "undecided" and few.to_dict()["cause"] == "undecided"


@pytest.mark.parametrize(("dreamed", "share"), [(0.05, 0.0), (0.2, 0.0), (0.8, 1.0), (0.99, 1.0)])
def test_the_estimate_of_a_policys_success_is_a_share(dreamed: float, share: float) -> None:
    """Chance alone may put its dreams below the false positives or above the true ones."""
    assert case(16, 20, 4, 20, dreamed).policy_success == pytest.approx(share)
    assert case(4, 20, 16, 20, dreamed).policy_success is None, "a dream that is wrong tells nothing"


@pytest.mark.parametrize("counts", [(9, 9, 0, 100), (100, 100, 0, 9), (0, 0, 0, 30), (30, 30, 0, 0)])
def test_too_few_of_one_outcome_leave_it_undecided(counts: tuple[int, int, int, int]) -> None:
    """However well the dream did on them."""
    check = case(*counts)
    assert check.verdict == "keep" and not check.passed
    assert check.reason.startswith(f"undecided: {counts[1]} successes and {counts[3]} failures")


def test_what_was_never_seen_is_not_measured_and_counts_against_the_dream() -> None:
    """The newest policy succeeds in all of its episodes, and in all of their dreams: that is no failure dreamed as a
    success."""
    none = case(0, 0, 0, 30)
    assert (none.tpr, none.tpr_low, none.fpr, none.j, none.precision) == (None, 0.0, 0.0, None, 0.0)
    none = case(40, 40, 0, 0, 1.0)
    assert (none.fpr, none.fpr_high, none.tpr, none.j, none.precision) == (None, 1.0, 1.0, None, 1.0)
    assert none.policy_success is None
    assert str(none).startswith("TPR 1.00, FPR –, undecided: 40 successes and 0 failures")
    assert str(case(18, 20, 1, 25)).startswith("TPR 0.90, FPR 0.04, J = 0.86")
    asked_for_none = ReplayCheckConfig(min_episodes=0)
    real = torch.ones(40, dtype=torch.bool)
    limits_only = judge(real, real, asked_for_none)
    assert (limits_only.verdict, limits_only.j) == ("keep", None) and "J = 0.00 at worst" in limits_only.reason


def test_episodes_that_nobody_dreamed_are_not_measured() -> None:
    check = undecided(4, 46, ReplayCheckConfig())
    assert (check.tpr, check.fpr, check.j, check.tpr_low, check.fpr_high) == (None, None, None, 0.0, 1.0)
    assert not check.passed and check.reason == case(4, 4, 0, 46).reason
    assert "1 of each are needed" in undecided(0, 50, ReplayCheckConfig(min_episodes=0)).reason


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_streaks(rows: list[list[bool]]) -> None:
    runs = [[(hit, len(list(run))) for hit, run in groupby(row)] for row in rows]
    expected = [[n + 1 if hit else 0 for hit, length in row for n in range(length)] for row in runs]
    assert streaks(torch.tensor(rows)).tolist() == expected


def numbered_replay(success_index: list[int], lengths: list[int]) -> Replay:
    """Frame t of episode e shows the number 10 * e + t."""
    steps, episodes = max(lengths) + 1, len(lengths)
    number = torch.arange(episodes).unsqueeze(1) * 10 + torch.arange(steps)
    index = torch.tensor(success_index)
    frames = number.to(torch.uint8)[:, :, None, None, None].expand(-1, -1, 3, 2, 2)
    return Replay(frames, torch.tensor(lengths), index >= 0, index)


def test_dreamed_frames_are_labelled_by_what_was_really_so() -> None:
    """Neither the real first frame nor what was dreamed past the episode's end is learned from; of a dreamed failure
    nobody knows how far it had come."""
    labelled = labelled_dreams(numbered_replay([3, -1, 1], [4, 2, 1]))
    number = labelled.frames[:, 0, 0, 0].tolist()
    assert dict(zip(number, labelled.success.tolist())) == {
        1: False,
        2: False,
        3: True,
        4: True,
        11: False,
        12: False,
        21: True,
    }
    assert len(number) == 7
    nan = float("nan")
    expected = torch.tensor([1 / 3, 2 / 3, 1, 1, nan, nan, 1])
    torch.testing.assert_close(labelled.progress, expected, equal_nan=True)


class Reads:
    """A reward model that is sure of the frames showing one of `hits`."""

    threshold = 0.5
    device = torch.device("cpu")

    def __init__(self, *hits: int):
        self.hits = torch.tensor(hits)

    def probability(self, frames: Tensor) -> Tensor:
        number = ((frames[:, 0, 0, 0] + 1) * 127.5).round().long()
        return torch.isin(number, self.hits).float()


def test_a_dream_succeeds_by_hits_in_a_row_within_the_real_length() -> None:
    dreamed = numbered_replay([3, 2, -1, -1], [4, 2, 4, 4])
    reads = Reads(2, 3, 12, 13, 20, 21, 31, 33)  # in a row; past the end; with the real first frame; apart
    probability, success = verdicts(dreamed, reads, hits=2)
    assert success.tolist() == [True, False, False, False]
    assert probability.shape == (4, 5)
    assert probability[:, 0].tolist() == [0.0] * 4  # the first frame is real, whatever it shows
    assert probability[0].tolist() == [0, 0, 1, 1, 0]
    assert verdicts(dreamed, reads, hits=1)[1].tolist() == [True, True, True, True]


def test_what_a_failures_dream_shows_at_its_end_counts_against_it() -> None:
    """The policy's own dreams go on from there until the success has lasted; of a success the recording goes on."""
    dreamed, reads = numbered_replay([-1, -1, 4], [4, 3, 4]), Reads(4, 12, 24)
    assert verdicts(dreamed, reads, hits=2)[1].tolist() == [True, False, False]
    dreamed = numbered_replay([-1, -1], [4, 5])
    found = success_steps(dreamed, Reads(3, 4, 11, 12, 15), hits=3)[1]
    assert found.tolist() == [3, 5], "where the streak begins that is still running at the end"


def test_a_success_begins_with_the_first_streak_that_is_long_enough() -> None:
    dreamed, reads = numbered_replay([1] * 4, [5] * 4), Reads(2, 4, 5, 11, 12, 13, 14, 15, 21, 23, 25)
    assert success_steps(dreamed, reads, hits=2)[1].tolist() == [4, 1, -1, -1]
    assert success_steps(dreamed, reads, hits=1)[1].tolist() == [2, 1, 1, -1]
    assert success_steps(dreamed, reads, hits=7)[1].tolist() == [-1] * 4


def test_a_dreamed_success_begins_within_the_horizon() -> None:
    dreamed, reads = numbered_replay([2, 3], [5, 5]), Reads(3, 4, 14, 15)
    assert verdicts(dreamed, reads, hits=2, horizon=3)[1].tolist() == [True, False]
    assert verdicts(dreamed, reads, hits=2, horizon=4)[1].tolist() == [True, True]


def test_what_a_failures_dream_shows_at_its_end_began_within_the_horizon_too() -> None:
    """Failures that end with the second frame of a streak, and successes that go on; from the horizon on, and later."""
    dreamed, reads = numbered_replay([-1, -1, 3, 3], [5, 6, 6, 7]), Reads(4, 5, 15, 16, 24, 25, 26, 35, 36, 37)
    assert success_steps(dreamed, reads, hits=3, horizon=4)[1].tolist() == [4, -1, 4, -1]
    assert success_steps(dreamed, reads, hits=3)[1].tolist() == [4, 5, 4, 5]

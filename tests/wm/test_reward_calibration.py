"""Probabilities that hold on frames that were not learned, and the threshold that tells the classes apart best."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from world4rl_wm.measures.concordance import reliability_bins
from world4rl_wm.reward.calibration import RewardCalibration, best_threshold, fit_platt
from world4rl_wm.reward.metrics import reliability


def drawn(seed: int, scale: float, shift: float, count: int = 20_000) -> tuple[Tensor, Tensor]:
    """Log-odds of a network that is over-confident, and outcomes that follow ``sigmoid(scale * logits + shift)``."""
    generator = torch.Generator().manual_seed(seed)
    logits = 6 * torch.randn(count, generator=generator)
    return logits, torch.rand(count, generator=generator) < torch.sigmoid(scale * logits + shift)


def test_platt_finds_the_scale_and_shift_that_the_outcomes_follow() -> None:
    """The shift too: training shows the classes in other shares than there are, which no temperature undoes."""
    scale, shift = fit_platt(*drawn(0, 0.4, -1.5))
    assert scale == pytest.approx(0.4, rel=0.05) and shift == pytest.approx(-1.5, rel=0.05)
    logits, success = drawn(1, 0.4, -1.5)
    before = reliability(torch.sigmoid(logits), success)
    after = reliability(torch.sigmoid(scale * logits + shift), success)
    assert before["ece"] > 0.1 and after["ece"] < 0.02
    assert after["brier"] < before["brier"]


def test_platt_stays_finite_where_the_classes_are_apart() -> None:
    logits = torch.tensor([-9.0, -8, -7, 7, 8, 9])
    scale, shift = fit_platt(logits, logits > 0)
    assert 0 < scale < 1 and abs(shift) < 1  # the maximum of the likelihood itself is at infinity


def test_platt_never_turns_the_order_round() -> None:
    scale, _ = fit_platt(torch.tensor([-3.0, -2, 2, 3]), torch.tensor([True, True, False, False]))
    assert scale > 0


def test_threshold_lies_where_j_is_largest_in_the_middle_of_the_widest_gap() -> None:
    probability = torch.tensor([0.1, 0.2, 0.3, 0.6, 0.7, 0.9, 0.95])
    success = torch.tensor([False, False, True, False, True, True, True])  # J 3/4 - 0 above .6; 1 - 1/3 above .2
    assert best_threshold(probability, success) == pytest.approx(0.65)
    apart = torch.tensor([False, False, False, True, True, True, True])
    assert best_threshold(probability, apart) == pytest.approx(0.45)
    shuffled = torch.tensor([6, 0, 3, 5, 1, 4, 2])
    assert best_threshold(probability[shuffled], success[shuffled]) == pytest.approx(0.65)


def test_no_threshold_between_equal_probabilities() -> None:
    """Three frames of one probability are called alike whatever the threshold."""
    probability = torch.tensor([0.2, 0.5, 0.5, 0.5, 0.8])
    found = best_threshold(probability, torch.tensor([False, False, True, True, True]))
    assert found == pytest.approx(0.35)


def test_reliability_by_hand() -> None:
    probability = torch.tensor([0.05, 0.05, 0.65, 0.65, 1.0])
    success = torch.tensor([False, False, True, False, True])
    found = reliability(probability, success)
    assert found["curve"] == [
        {"probability": 0.05, "success": 0.0, "frames": 2},
        {"probability": 0.65, "success": 0.5, "frames": 2},
        {"probability": 1.0, "success": 1.0, "frames": 1},
    ]
    assert found["ece"] == pytest.approx((2 * 0.05 + 2 * 0.15) / 5, abs=1e-5)
    assert found["brier"] == pytest.approx((2 * 0.05**2 + 0.35**2 + 0.65**2) / 5, abs=1e-5)


def test_reliability_is_told_in_the_bins_of_the_concordance() -> None:
    """At their edges too, where a probability in single precision is rounded."""
    probability = torch.arange(0, 1.01, 0.1)
    success = torch.arange(len(probability)) % 2 == 0
    bins = reliability_bins(probability.double().numpy(), success.double().numpy())
    points = [(round(one.belief, 4), round(one.real, 4), one.count) for one in bins]
    assert [tuple(point.values()) for point in reliability(probability, success)["curve"]] == points


def test_a_calibrated_threshold_needs_episodes() -> None:
    with pytest.raises(ValueError, match="needs episodes to calibrate on"):
        RewardCalibration(episodes=0.0, threshold="calibrated")

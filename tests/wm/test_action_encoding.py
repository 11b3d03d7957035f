"""The two-hot encoding loses nothing, passes gradients on, and lets no broken action through."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from world4rl_wm.action_encoding import from_two_hot, two_hot

ACTIONS = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=7)
BINS = st.integers(2, 41)


@settings(deadline=None)
@given(ACTIONS, BINS)
def test_round_trip_loses_nothing(values: list[float], bins: int) -> None:
    actions = torch.tensor(values)
    torch.testing.assert_close(from_two_hot(two_hot(actions, bins), bins), actions, atol=1e-5, rtol=0)


@settings(deadline=None)
@given(ACTIONS, BINS)
def test_weights_are_shares_of_two_neighbouring_bins(values: list[float], bins: int) -> None:
    weights = two_hot(torch.tensor(values), bins).unflatten(-1, (-1, bins))
    assert weights.shape == (len(values), bins)
    assert float(weights.min()) >= 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(values)))
    for row in weights:
        used = row.nonzero().squeeze(1).tolist()
        assert len(used) <= 2 and used[-1] - used[0] <= 1


@settings(deadline=None)
@given(st.floats(-0.9990234375, 0.9990234375, width=32), BINS)
def test_gradient_of_the_round_trip_is_one(value: float, bins: int) -> None:
    """Also on a bin's centre, where the two neighbours change."""
    action = torch.tensor([value], requires_grad=True)
    from_two_hot(two_hot(action, bins), bins).sum().backward()
    assert action.grad is not None
    torch.testing.assert_close(action.grad, torch.ones(1), atol=1e-4, rtol=0)


def test_edges_and_centres_are_one_hot() -> None:
    centres = torch.linspace(-1, 1, 21)
    torch.testing.assert_close(two_hot(centres.unsqueeze(1), 21), torch.eye(21), atol=1e-5, rtol=0)


def test_dimensions_come_one_after_the_other() -> None:
    torch.testing.assert_close(
        two_hot(torch.tensor([[[-1.0, 0.5]]]), 3), torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.5, 0.5]]])
    )


def test_rounding_beyond_one_is_the_edge() -> None:
    torch.testing.assert_close(two_hot(torch.tensor([1.000005]), 5), torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.001, -2.0])
def test_broken_actions_are_refused(value: float) -> None:
    """One bad value among good ones must not become a silent, wrong condition of the world model."""
    with pytest.raises(ValueError, match="finite and lie in"):
        two_hot(torch.tensor([[0.0, 0.1], [0.2, value]]))


def test_one_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 bins, got 1"):
        two_hot(torch.zeros(1), bins=1)

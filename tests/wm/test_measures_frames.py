"""Errors of single frames and intervals over episodes: known values, closed forms, and what is left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from world4rl_wm.measures.frame_errors import PSNR_CEILING, frame_errors, moving_error, streams
from world4rl_wm.measures.intervals import bootstrap, rate, resample


def flat(*levels: int, channels: int = 6, size: int = 16) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, channels, size, size).contiguous()


def test_psnr_of_a_known_error_and_of_none() -> None:
    """Equal frames would have an infinite PSNR, which no mean survives."""
    found = frame_errors(flat(100, 100), flat(151, 100), flat(0, 0))
    assert found["psnr"][0] == pytest.approx(20 * math.log10(255 / 51), abs=1e-3)
    assert found["psnr"][1] == PSNR_CEILING == pytest.approx(10 * math.log10(12 * 255**2), abs=0.1)
    assert found["ssim"][1] == pytest.approx(1.0) and found["ssim"][0] < 1


def test_the_moving_region_is_what_really_moved_camera_by_camera() -> None:
    last, real, predicted = flat(100), flat(100), flat(100)
    real[:, 3:, :4] = 151  # a strip of the second camera
    predicted[:, 3:, :4] = 202
    predicted[:, :3] = 0  # nothing moved in the first camera: its error is not asked here
    real[:, :3, 0, 0] = 105  # within a camera's noise
    assert moving_error(predicted, real, last)[0] == pytest.approx(51 / 255)
    assert moving_error(last, real, last)[0] == pytest.approx(51 / 255)
    assert moving_error(predicted, last, last)[0].isnan(), "nothing moved: there is no such error"


def test_pictures_of_several_cameras_stay_whole() -> None:
    frames = torch.arange(2 * 6 * 4 * 4, dtype=torch.int64).to(torch.uint8).reshape(2, 6, 4, 4)
    assert torch.equal(streams(frames)[1], frames[0, 3:]) and torch.equal(streams(frames)[2], frames[1, :3])


def test_intervals_have_the_width_of_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, (400, 2))
    first, second = bootstrap(values)
    assert first is not None and second is not None and first.episodes == 400
    half = norm.ppf(0.975) * values[:, 0].std() / 20
    assert first.mean == pytest.approx(values[:, 0].mean())
    assert first.high - first.mean == pytest.approx(half, rel=0.12)
    assert first.mean - first.low == pytest.approx(half, rel=0.12)


def test_what_was_not_measured_is_left_out_and_said() -> None:
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan], [2.0, np.nan, np.nan]])
    first, second, third = bootstrap(values)
    assert first is not None and (first.mean, first.episodes) == (2.0, 3)
    assert second is not None and (second.mean, second.low, second.high, second.episodes) == (5.0, 5.0, 5.0, 1)
    assert third is None


def test_differences_are_resampled_together() -> None:
    """A constant difference between two noisy tables is certain."""
    values = np.random.default_rng(1).normal(size=(50, 1))
    (found,) = resample(values + 0.25).minus(resample(values)).estimates()
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_ratio_is_that_of_the_means() -> None:
    """Not the mean of ratios, which one small denominator would decide."""
    error, size = np.array([[1.0], [1.0]]), np.array([[8.0], [1e-6]])
    (found,) = resample(error).root_over(resample(size)).estimates()
    assert found is not None and found.mean == pytest.approx(0.5)


def test_rates_of_none_are_unknown() -> None:
    assert (rate(0, 0).share, rate(0, 0).low) == (None, None)
    found = rate(9, 10)
    assert (found.share, found.low, found.high) == pytest.approx((0.9, 0.5958, 0.9821), abs=1e-4)

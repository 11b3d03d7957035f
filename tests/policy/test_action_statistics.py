"""Delays, rate, jitter and skipped periods come out as they went in."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from world4rl_policy.action_statistics import ActionStatistics

MS = 1_000_000
PERIOD = 100 * MS


def test_without_actions_there_is_nothing_to_say() -> None:
    report = ActionStatistics(0.1).report(5 * PERIOD)
    assert (report.actions, report.skipped, report.rate_hz) == (0, 0, 0.0)
    assert math.isnan(report.jitter_ms) and math.isnan(report.image_to_action.p99)


def test_delays_have_their_median_99th_percentile_and_maximum() -> None:
    statistics = ActionStatistics(0.1, window=101)
    for i in range(150):  # the first 49 leave the window
        delay_ms = 1000 if i < 49 else i - 49
        statistics.add(i * PERIOD, i * PERIOD - delay_ms * MS, delay_ms / 2000)
    report = statistics.report(149 * PERIOD)
    for spread, scale in ((report.image_to_action, 1.0), (report.arrival_to_action, 0.5)):
        got = (spread.mean, spread.p50, spread.p99, spread.max)
        assert got == pytest.approx((50 * scale, 50 * scale, 99 * scale, 100 * scale))
    assert report.actions == 150


def test_rate_and_jitter_are_of_the_departures() -> None:
    rng = np.random.default_rng(0)
    statistics, sent = ActionStatistics(0.1), [round(i * PERIOD + rng.normal() * 3 * MS) for i in range(400)]
    for stamp in sent:
        statistics.add(stamp, stamp, 0.0)
    report = statistics.report(sent[-1])
    assert report.rate_hz == pytest.approx(10, abs=0.1)
    assert report.jitter_ms == pytest.approx(3 * math.sqrt(2), rel=0.15)
    assert report.skipped == 0


def test_periods_without_an_action_count_as_skipped_and_lower_the_rate() -> None:
    statistics = ActionStatistics(0.1)
    for i in (0, 1, 2, 5, 6, 8):
        statistics.add(i * PERIOD, i * PERIOD, 0.0)
    assert statistics.report(8 * PERIOD).skipped == 3
    assert statistics.report(8 * PERIOD).rate_hz == pytest.approx(5 / 0.8)
    assert statistics.report(80 * PERIOD).rate_hz < 0.7, "an old rate is none"


def test_restart_and_a_clock_set_back_begin_anew() -> None:
    statistics = ActionStatistics(0.1)
    statistics.add(100 * PERIOD, 100 * PERIOD, 0.0)
    statistics.add(PERIOD, PERIOD, 0.0)
    assert statistics.report(PERIOD).skipped == 0 and statistics.report(PERIOD).actions == 2
    statistics.restart()
    assert statistics.report(PERIOD).actions == 0


def test_asking_while_another_thread_adds_is_safe() -> None:
    statistics, stop = ActionStatistics(0.1, window=50), threading.Event()

    def add() -> None:
        i = 0
        while not stop.is_set():
            statistics.add(i * PERIOD, i * PERIOD, 0.001)
            i += 1

    thread = threading.Thread(target=add)
    thread.start()
    try:
        reports = [statistics.report(0) for _ in range(300)]
    finally:
        stop.set()
        thread.join(10)
    assert all(r.skipped == 0 for r in reports) and reports[-1].actions > 0

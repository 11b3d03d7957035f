"""ArmControl with two sources at once: clocks that disagree, and a source that sends what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from arm_bench import CONTRACT, HUMAN, POLICY, Bench


def _both_act(bench: Bench, skew_s: float, periods: int = 10) -> tuple[list[bool], list[bool], list[float]]:
    """A policy and, half a period later, a human whose clock is `skew_s` behind: what of theirs is executed, and the
    stamps that it is executed under."""
    policy, human, stamps = [], [], []
    for _ in range(periods):
        for taken, source, age_s in ((policy, POLICY, 0.0), (human, HUMAN, skew_s)):
            bench.pass_time(CONTRACT.period_s / 2)
            taken.append(bench.act((0.1, 0.0, 0.0), source, age_s).accepted)
            if taken[-1]:
                stamps.append(bench.control.stamps.executed_s)
    return policy, human, stamps


@pytest.mark.parametrize("skew_s", [0.0, 0.12, 0.4, -0.12, -0.4])
def test_a_human_takes_over_whatever_the_difference_of_the_clocks(skew_s):
    bench = Bench()
    bench.enable()
    for _ in range(5):
        bench.pass_time(CONTRACT.period_s)
        assert bench.act().accepted
    bench.pass_time(CONTRACT.period_s / 2)
    policy, human, stamps = _both_act(bench, skew_s)
    assert all(human) and sum(policy) == 1, "the policy's last action is the one before the human's first"
    assert (np.diff(stamps) > 0).all(), "a record must not go back in time"
    bench.control.gate.release()
    before_s = stamps[-1]
    bench.pass_time(0.5)
    assert bench.act().accepted and bench.control.stamps.executed_s > before_s
    assert all(_both_act(bench, skew_s)[1]), "and takes over again"


def test_a_human_s_own_actions_are_not_executed_out_of_order():
    bench = Bench()
    bench.enable()
    assert bench.act(source=HUMAN, age_s=0.1).accepted
    bench.pass_time(CONTRACT.period_s)
    assert "overtaken" in bench.act(source=HUMAN, age_s=0.25).reason
    assert bench.act(source=HUMAN, age_s=0.1).accepted


def test_a_clock_that_begins_again_begins_the_stamps_again():
    bench = Bench()
    bench.enable()
    assert bench.act().accepted
    bench.time_s = 1.0
    bench.pass_time(0.1)
    assert bench.act().accepted and bench.control.stamps.executed_s == bench.time_s

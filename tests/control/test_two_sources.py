"""ArmControl with two sources at once: clocks that disagree, and a source that sends what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from arm_bench import CONTRACT, HOME, HUMAN, POLICY, Bench

from world4rl_control.arm_control import ControlConfig
from world4rl_data.episode import ActionSource


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


_UNFIT = {
    "late": ((0.5, 0.0, 0.0), POLICY, 1.0),
    "without a stamp": ((0.5, 0.0, 0.0), POLICY, 1e9),
    "NaN": ((np.nan, 0.0, 0.0), POLICY, 0.0),
    "wrong length": ((0.5,), POLICY, 0.0),
    "without a source": ((0.5, 0.0, 0.0), ActionSource.UNKNOWN, 0.0),
    "unknown source": ((0.5, 0.0, 0.0), 77, 0.0),
}


def _human_drives(other: tuple[tuple[float, ...], int, float] | None) -> tuple[Bench, float]:
    """Three seconds at 100 Hz of a human who asks for moves along x, on an arm that follows, while somebody else sends
    `other` at the same rate, half a period later; and how far the executed actions add up to [m]."""
    bench = Bench(ControlConfig(command_rate_hz=100.0))
    bench.enable()
    executed_m = 0.0
    for tick in range(300):
        bench.pass_time(0.01, 0.01)
        if tick % 10 == 0 and tick < 280:
            executed_m += bench.act((0.1, 0.0, 0.0), HUMAN).executed[0] * CONTRACT.actions[0].scale
        elif tick % 10 == 5 and other is not None:
            assert not bench.act(*other).accepted
        before = len(bench.sent)
        bench.control.command(bench.now)
        assert len(bench.sent) == before + 1, "a command is withheld"
        bench.position = bench.sent[-1].position
    return bench, executed_m


@pytest.mark.parametrize("other", _UNFIT.values(), ids=_UNFIT)
def test_what_another_source_sends_does_not_hold_the_one_that_has_the_arm(other):
    bench, executed_m = _human_drives(other)
    assert bench.position[0] - HOME[0] == pytest.approx(executed_m, abs=1e-6) and executed_m > 0.08
    assert bench.control.gate.rejected == 30 and bench.control.gate.active_source == HUMAN


def test_a_camera_that_fails_holds_the_policy_and_not_the_human():
    bench = Bench(ControlConfig(command_rate_hz=100.0))
    bench.silent = {CONTRACT.images[0].topic}
    bench.enable()
    bench.pass_time(0.5)
    assert bench.act(source=HUMAN).accepted
    bench.pass_time(0.05)
    assert CONTRACT.images[0].topic in bench.act().reason and bench.control.reason(bench.now) == ""


@pytest.mark.parametrize("source", [HUMAN, POLICY])
def test_the_one_that_has_the_arm_holds_it_by_an_action_of_its_own_that_cannot_be_used(source):
    bench = Bench(ControlConfig(command_rate_hz=100.0))
    bench.enable()
    bench.act((1.0, 0.0, 0.0), source)
    bench.pass_time(0.05)
    bench.act((np.nan, 0.0, 0.0), source)
    bench.pass_time(0.01, 0.01)
    bench.control.command(bench.now)
    assert bench.sent == [] and "not finite" in bench.control.reason(bench.now)

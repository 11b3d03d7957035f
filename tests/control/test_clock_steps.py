"""The machine's own clock may be set while the arm moves (chrony, a person): that neither hides silence nor drives."""

import numpy as np
import pytest
from arm_bench import CONTRACT, DOWN, HOME, HUMAN, Bench

from world4rl_control.arm_control import ControlConfig
from world4rl_control.instant import Instant

STEPS_S = [-60.0, -0.5, 0.5, 3600.0]


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.enable()
    made.act()
    return made


@pytest.mark.parametrize("step_s", STEPS_S)
def test_a_driver_that_dies_as_the_clock_is_set_holds_the_arm_and_then_stops_it(bench, step_s):
    bench.set_by_s, bench.silent = step_s, {"pose"}
    bench.pass_time(0.3)
    assert "no measured pose" in bench.control.reason(bench.now) and not bench.act(source=HUMAN).accepted
    bench.pass_time(0.9)
    assert not bench.control.gate.enabled and "driver lost: no measured pose" in bench.control.reason(bench.now)


@pytest.mark.parametrize("step_s", STEPS_S)
def test_a_robot_state_that_dies_as_the_clock_is_set_stops_the_arm(bench, step_s):
    bench.control.arm.see_state(bench.now.timing_s)
    bench.set_by_s = step_s
    bench.pass_time(1.2)
    assert "robot_state silent" in bench.control.reason(bench.now)


@pytest.mark.parametrize("step_s", STEPS_S)
def test_a_camera_that_dies_as_the_clock_is_set_holds_the_policy(bench, step_s):
    stream = CONTRACT.images[0]
    bench.set_by_s, bench.silent = step_s, {stream.topic}
    bench.pass_time(stream.timeout_s + 0.1)
    assert stream.topic in bench.act().reason


@pytest.mark.parametrize("step_s", STEPS_S)
def test_nobody_is_blamed_for_a_clock_that_was_set(bench, step_s):
    bench.set_by_s = step_s
    bench.pass_time(0.1)
    assert bench.act().accepted and bench.control.reason(bench.now) == ""


@pytest.mark.parametrize("step_s", STEPS_S)
def test_the_episode_is_no_longer_for_a_clock_that_was_set(bench, step_s):
    bench.set_by_s = step_s
    bench.pass_time(CONTRACT.max_episode_s - 1.0)
    assert bench.control.gate.enabled
    bench.pass_time(1.2)
    assert "maximum episode time" in bench.control.reason(bench.now)


@pytest.mark.parametrize("step_s", STEPS_S)
def test_a_clock_that_is_set_on_the_way_to_a_target_takes_the_arm_no_further(step_s):
    bench = Bench(ControlConfig(command_rate_hz=100.0))
    bench.enable()
    bench.control.command(bench.now)
    out = bench.act((1.0, 0.0, 0.0))
    xs = [HOME[0]]
    for tick in range(10):
        bench.set_by_s = step_s if tick >= 4 else 0.0
        bench.time_s += 0.01
        bench.control.command(bench.now)
        xs.append(bench.sent[-1].position[0])
    np.testing.assert_allclose(np.diff(xs), (out.target_position[0] - HOME[0]) / 10, atol=1e-9)


def test_a_simulator_slower_than_real_time_is_not_called_silent(bench):
    bench.control.arm.see_pose(HOME, DOWN, 7.0)
    later = Instant(7.1, bench.time_s + 60.0, simulated=True)
    assert "pose" not in bench.control.reason(later)
    assert "no measured pose" in bench.control.reason(Instant(7.4, bench.time_s + 60.1, simulated=True))

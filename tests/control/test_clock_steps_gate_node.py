"""Gate and teleoperation on a machine whose clock is set while the arm moves; without ROS: test_clock_steps.py."""

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from gate_rig import close_gate, gate_node, make_gate  # noqa: E402
from rclpy.clock import ClockType  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.time import Time  # noqa: E402

from world4rl_control.clocks_node import instant_of  # noqa: E402
from world4rl_control.explorer_node import ExplorerNode  # noqa: E402
from world4rl_control.teleop_node import TeleopNode  # noqa: E402


def _parameters(**values) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in {"contract": "franka_sim_press", **values}.items()]


def _teleop(**values) -> TeleopNode:
    return TeleopNode(_parameters(device="joystick", **values))


def _explorer(**values) -> ExplorerNode:
    return ExplorerNode(_parameters(**values))


class _SetClock:
    """A node's clock after somebody has set it."""

    ros_time_is_active = False

    def __init__(self, clock, by_s: float) -> None:
        self._clock, self._by = clock, Duration(seconds=by_s)

    def now(self) -> Time:
        return self._clock.now() + self._by


def test_a_driver_that_dies_as_the_clock_goes_back_is_missed():
    rig, gate = make_gate()
    try:
        rig.ready()
        assert rig.enable().success
        clock = _SetClock(gate.get_clock(), -3600.0)
        gate.get_clock = lambda: clock
        rig.speaking = False
        rig.until(lambda: "driver lost" in rig.status.reason and not rig.status.enabled, what="the stop")
    finally:
        close_gate(rig, gate)


@pytest.mark.parametrize("make", [lambda: gate_node(command_rate_hz=100.0), _teleop], ids=["arm_gate", "teleop"])
def test_no_timer_sleeps_while_the_machines_clock_is_back(make):
    node = make()
    try:
        assert {timer.clock.clock_type for timer in node.timers} == {ClockType.STEADY_TIME}
    finally:
        node.destroy_node()


def test_under_a_simulators_clock_targets_keep_its_pace():
    gate = gate_node(command_rate_hz=100.0, use_sim_time=True)
    try:
        assert any(timer.clock is gate.get_clock() for timer in gate.timers)
    finally:
        gate.destroy_node()


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("make", [gate_node, _teleop, _explorer])
def test_the_clock_stays_the_one_that_timers_began_on(make, simulated):
    node = make(use_sim_time=simulated)
    try:
        (answer,) = node.set_parameters([Parameter("use_sim_time", value=not simulated)])
        assert not answer.successful
        assert f"start it again with -p use_sim_time:={'false' if simulated else 'true'}" in answer.reason
        assert instant_of(node).simulated is simulated and node.get_parameter("use_sim_time").value is simulated
        (answer,) = node.set_parameters([Parameter("use_sim_time", value=simulated)])
        assert answer.successful, "as it is"
    finally:
        node.destroy_node()

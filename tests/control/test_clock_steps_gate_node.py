"""Gate and teleoperation on a machine whose clock is set while the arm moves; without ROS: test_clock_steps.py."""

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from gate_rig import close_gate, gate_node, make_gate  # noqa: E402
from rclpy.clock import ClockType  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.time import Time  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

from world4rl_control.clocks_node import instant_of  # noqa: E402
from world4rl_control.explorer_node import ExplorerNode  # noqa: E402
from world4rl_control.teleop_node import TeleopNode  # noqa: E402
from world4rl_data.contract import TaskContract  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402

PERIOD_S = TaskContract.load("franka_sim_press").period_s


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


def test_in_lock_step_the_target_leaves_with_the_action_even_before_the_clock_has_arrived():
    rig, gate = make_gate(use_sim_time=True, clock_timeout_s=0.3)
    clock = rig.create_publisher(Clock, "/clock", 1)
    try:
        rig.ready()
        rig.until(clock.get_subscription_count)
        message = Clock()
        message.clock.sec = 100
        clock.publish(message)
        rig.spin(0.1)
        assert rig.enable().success
        for tick in range(1, 4):  # the clock stays at 100 s: only the actions know that time went on
            action = Action(values=[0.1, 0.0, 0.0], source=Action.POLICY)
            action.header.stamp.sec, action.header.stamp.nanosec = 100, (tick % 3) * 10**8
            rig.actions.publish(action)
            rig.spin(0.05)
        assert len(rig.targets) == 2, "stamps .1 and .2 are new instants, stamp .0 is not"
        rig.until(lambda: "clock" in rig.status.reason, 2.0)
    finally:
        close_gate(rig, gate)


def test_a_stamp_ahead_of_the_machines_own_clock_does_not_make_time_pass():
    """The clock of a person's machine may be wrong; two of her actions at once remain one per control period."""
    rig, gate = make_gate()
    try:
        rig.ready()
        assert rig.enable().success
        rig.spin(0.1)
        now_ns = rig.get_clock().now().nanoseconds
        for period in (0, 1):  # handed over without DDS, which might take a control period on a busy machine
            action = Action(values=[1.0, 0.0, 0.0], source=Action.HUMAN)
            stamp_ns = now_ns + round(period * PERIOD_S * 1e9)
            action.header.stamp.sec, action.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
            gate._on_action(action)
        rig.until(lambda: rig.executed)
        rig.spin(0.1)
        assert len(rig.executed) == 1 and len(rig.targets) == 1
    finally:
        close_gate(rig, gate)

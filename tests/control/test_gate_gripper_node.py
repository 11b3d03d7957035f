"""The gripper through the arm gate over DDS: nobody waits for it, and a stop drops what it was to do."""

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from franka_msgs.action import Grasp  # noqa: E402
from gate_rig import close_gate, make_gate  # noqa: E402
from rclpy.action import ActionServer  # noqa: E402


def test_the_gripper_is_closed_through_the_driver_without_waiting():
    rig, gate = make_gate("franka_sim_lift")
    goals = []

    def grasp(handle):
        goals.append(handle.request)
        handle.succeed()
        return Grasp.Result(success=True)

    server = ActionServer(rig, Grasp, "/franka_gripper/grasp", grasp)
    try:
        rig.ready()
        rig.enable()
        for _ in range(3):
            rig.act([0, 0, 0, -1])
        rig.until(lambda: goals, what="a grasp")
        assert len(goals) == 1 and goals[0].epsilon.outer >= 0.08, "whatever is between the fingers counts"
        assert [action.values[3] for action in rig.executed] == [-1.0] * 3
    finally:
        server.destroy()
        close_gate(rig, gate)


def test_a_grasp_that_waits_for_its_driver_is_dropped_when_the_arm_is_stopped():
    """The fingers do not move under the hands of whoever has stopped the arm to look after the driver."""
    rig, gate = make_gate("franka_sim_lift")
    goals: list[float] = []

    def grasp(handle):
        goals.append(handle.request.width)
        handle.succeed()
        return Grasp.Result(success=True)

    server = None
    try:
        rig.ready()
        assert rig.enable().success
        rig.act([0, 0, 0, -1])
        told = gate._report.notes["gripper"]()
        assert "no gripper action server" in told and "last measured opening: 80 mm" in told, "it has not closed"
        assert rig.enable(False).success
        server = ActionServer(rig, Grasp, "/franka_gripper/grasp", grasp)
        rig.until(gate._hand._driver.client("close").server_is_ready, what="the gate to find the driver")
        rig.spin(0.5)  # ten looks of the gate at its driver
        assert goals == []
        assert rig.enable().success
        rig.act([0, 0, 0, -1])
        rig.until(lambda: goals == [0.0], what="the grasp that was asked for since")
    finally:
        if server is not None:
            server.destroy()
        close_gate(rig, gate)


def test_who_enables_the_arm_is_told_that_the_gripper_is_not_homed_though_that_was_asked_for() -> None:
    rig, gate = make_gate("franka_sim_lift", home_gripper=True)
    told: list[str] = []
    note = lambda message: told.extend(v.value for s in message.status for v in s.values if v.key == "doubts")  # noqa: E731
    rig.create_subscription(DiagnosticArray, "/diagnostics", note, 10)
    try:
        rig.ready()
        assert "the gripper is not homed yet: no gripper action server" in rig.enable().message
        rig.until(lambda: told and "the gripper is not homed yet" in told[-1], what="the same in the diagnostics")
    finally:
        close_gate(rig, gate)

"""Error recovery through the arm gate over DDS: the arm stays where it was pushed to, and disabled."""

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from arm_rig import GATE, STATE  # noqa: E402
from franka_msgs.action import ErrorRecovery  # noqa: E402
from franka_msgs.msg import FrankaRobotState  # noqa: E402
from gate_rig import close_gate, make_gate, position  # noqa: E402
from rclpy.action import ActionServer  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402


def test_after_a_reflex_the_pushed_arm_is_recovered_where_it_is_and_stays_disabled():
    rig, gate = make_gate()
    state = rig.create_publisher(FrankaRobotState, f"{STATE}/robot_state", 1)
    recover = rig.create_client(Trigger, f"{GATE}/recover")

    def execute(handle):
        state.publish(FrankaRobotState(robot_mode=1))  # as the driver does: idle again
        handle.succeed()
        return ErrorRecovery.Result()

    server = ActionServer(rig, ErrorRecovery, "/action_server/error_recovery", execute, result_timeout=10)
    try:
        rig.ready()
        rig.until(state.get_subscription_count)
        rig.until(lambda: rig.enable().success, 20.0, "enabling")
        rig.act([1, 0, 0])
        state.publish(FrankaRobotState(robot_mode=4))
        rig.until(lambda: not rig.status.enabled, what="the stop on a reflex")
        rig.position = np.array([0.5, 0.1, 0.2])  # pushed by the hand that provoked it
        rig.spin(0.3)
        count = len(rig.targets)
        rig.until(recover.service_is_ready)
        for _ in range(10):  # a busy machine may delay the measured pose, and then it refuses
            answer = rig.call(recover, Trigger.Request(), 10.0)
            if answer.success or "no fresh measured pose" not in answer.message:
                break
        assert answer.success, answer.message
        rig.until(lambda: len(rig.targets) > count, what="the target before the recovery")
        np.testing.assert_allclose(position(rig.targets[-1]), rig.position, atol=1e-9)
        count = len(rig.targets)
        rig.act([1, 0, 0])
        assert not rig.status.enabled and len(rig.targets) == count, "it moves only after ~/enable"
        rig.until(lambda: rig.enable().success, 20.0, "enabling in idle mode")
    finally:
        server.destroy()
        close_gate(rig, gate)


def test_without_a_measured_pose_nothing_is_recovered():
    rig, gate = make_gate()
    recovered: list[int] = []

    def execute(handle):
        recovered.append(1)
        handle.succeed()
        return ErrorRecovery.Result()

    server = ActionServer(rig, ErrorRecovery, "/action_server/error_recovery", execute, result_timeout=10)
    recover = rig.create_client(Trigger, f"{GATE}/recover")
    try:
        rig.ready()
        rig.until(recover.service_is_ready)
        rig.spin(0.3)  # the action server is found meanwhile
        rig.speaking = False
        rig.spin(0.5)
        answer = rig.call(recover, Trigger.Request(), 10.0)
        assert not answer.success and "pose" in answer.message and recovered == []
    finally:
        server.destroy()
        close_gate(rig, gate)

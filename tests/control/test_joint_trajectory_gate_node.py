"""The gate with joint_trajectory over DDS, on a Franka arm's kinematics; only where Pinocchio is installed."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.ros

from world4rl_control.pin_kinematics import PinKinematics, pinocchio_is_there  # noqa: E402

if not pinocchio_is_there():
    pytest.skip("needs Pinocchio: pip install pin", allow_module_level=True)

import rclpy  # noqa: E402
from arm_rig import BEST_EFFORT, LATCHED, STATE, ArmRig  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from test_backends import READY, urdf  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from world4rl_control.arm_gate_node import ArmGateNode  # noqa: E402
from world4rl_data.contract import TaskContract  # noqa: E402


def test_targets_arrive_as_joint_positions_that_lead_there(ros_domain):
    rclpy.init()
    arm, rig = PinKinematics(urdf(), "fr3_hand_tcp", "fr3_link0"), ArmRig()
    rig.position, rig.quat = arm.forward(READY)
    chosen = {"contract": "franka_sim_press", "backend": "joint_trajectory"}
    gate = ArmGateNode([Parameter(name, value=value) for name, value in chosen.items()])
    rig.executor_.add_node(gate)
    points: list[JointTrajectory] = []
    rig.create_subscription(JointTrajectory, "/joint_trajectory_controller/joint_trajectory", points.append, 10)
    joints = rig.create_publisher(JointState, f"{STATE}/measured_joint_states", BEST_EFFORT)
    rig.create_timer(0.02, lambda: joints.publish(JointState(name=arm.names, position=READY.tolist())))
    try:
        rig.until(lambda: "robot description" in rig.enable().message, 20.0, "a refusal that names what is missing")
        description = rig.create_publisher(String, "/robot_description", LATCHED)
        description.publish(String(data=urdf()))
        rig.until(lambda: rig.enable().success, 20.0, "leave to enable")
        rig.act([0.5, 0.0, -0.5])
        rig.until(lambda: points, what="a trajectory")
        assert tuple(points[0].joint_names) == arm.names and points[0].points[0].time_from_start.nanosec == 10**8
        reached = arm.forward(np.array(points[0].points[0].positions))[0]
        step = 0.5 * TaskContract.load("franka_sim_press").actions[0].scale
        np.testing.assert_allclose(reached, rig.position + [step, 0.0, -step], atol=1e-4)
        assert rig.enable(False).success
        rig.until(lambda: len(points) == 2, what="the measured joints")
        np.testing.assert_allclose(points[1].points[0].positions, READY, atol=1e-9)
    finally:
        rig.executor_.shutdown()
        gate.destroy_node()
        rig.destroy_node()
        rclpy.try_shutdown()

"""The arm gate in front of MoveIt Servo, over DDS."""

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

import rclpy  # noqa: E402
import rclpy.node  # noqa: E402
from gate_rig import close_gate, make_gate  # noqa: E402
from geometry_msgs.msg import TwistStamped  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402


def test_servo_gets_fresh_twists_towards_the_target_and_zeros_after_the_stop():
    rig, gate = make_gate(backend="servo_twist")
    twists: list[TwistStamped] = []
    rig.create_subscription(TwistStamped, "/servo_node/delta_twist_cmds", twists.append, 10)
    try:
        rig.until(lambda: rig.actions.get_subscription_count(), what="the gate's ear")
        rig.until(lambda: (answer := rig.enable()).success and "speed_units" in answer.message, what="leave to enable")
        rig.until(lambda: twists, what="zeros before the first action")
        assert twists[-1].twist.linear.x == 0.0
        rig.act([1, 0, 0])
        rig.until(lambda: twists[-1].twist.linear.x > 0.01, what="a twist towards the target")
        stamp, now = twists[-1].header.stamp, rig.get_clock().now().nanoseconds
        assert now - (stamp.sec * 10**9 + stamp.nanosec) < 5 * 10**8 and twists[-1].header.frame_id == "fr3_link0"
        assert rig.enable(False).success
        rig.until(lambda: twists[-1].twist.linear.x == 0.0, what="zeros")
        count = len(twists)
        rig.until(lambda: len(twists) > count + 5, what="zeros again and again")
        assert not any(twist.twist.linear.x for twist in twists[count:])
    finally:
        close_gate(rig, gate)


def test_servo_must_read_twists_in_metres_and_radians_where_it_can_be_asked():
    rig, gate = make_gate(backend="servo_twist", robot_state_topic="")
    servo = rclpy.node.Node("servo_node")
    servo.declare_parameter("moveit_servo.command_in_type", "unitless")
    rig.executor_.add_node(servo)
    try:
        rig.until(lambda: rig.actions.get_subscription_count(), what="the gate's ear")
        rig.until(lambda: "'unitless', not speed_units" in rig.enable().message, what="a refusal that names the units")
        rig.until(lambda: not rig.status.enabled, what="a stop where it was enabled before Servo answered")
        servo.set_parameters([Parameter("moveit_servo.command_in_type", value="speed_units")])
        rig.until(lambda: rig.enable().message == "enabled at the measured pose", what="leave to enable")
    finally:
        close_gate(rig, gate)
        servo.destroy_node()

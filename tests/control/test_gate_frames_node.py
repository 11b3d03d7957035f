"""Arm gate, driver and controller over DDS: whether their poses are of the same frame."""

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from arm_rig import STATE, ArmRig  # noqa: E402
from gate_rig import close_gate, make_gate, position  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402


def test_enabling_is_refused_while_controller_and_driver_disagree():
    rig, gate = make_gate(controller_pose_topic="/current_pose")
    own = rig.create_publisher(PoseStamped, "/current_pose", 10)
    shift = [0.02]

    def speak() -> None:
        pose = PoseStamped()
        pose.pose.position.x, pose.pose.position.z, pose.pose.orientation.x = 0.45 + shift[0], 0.30, 1.0
        pose.pose.orientation.w = 0.0
        own.publish(pose)

    rig.create_timer(0.02, speak)
    try:
        rig.ready()
        rig.until(lambda: "20.0 mm" in rig.enable().message, what="a refusal that names the difference")
        shift[0] = 0.003
        rig.until(lambda: rig.enable().success, what="leave to enable")
        rig.act([0, 0, 0])
        assert position(rig.targets[0])[0] == pytest.approx(0.453, abs=1e-6), "in the controller's own frame"
    finally:
        close_gate(rig, gate)


def _frame_rig(rig: ArmRig, frames: dict[str, str]) -> None:
    """Poses in named frames instead of the rig's own."""
    rig.speaking = False
    publishers = {topic: rig.create_publisher(PoseStamped, topic, 10) for topic in frames}

    def speak() -> None:
        for topic, publisher in publishers.items():
            pose = PoseStamped()
            pose.header.frame_id = frames[topic]
            pose.pose.position.x, pose.pose.position.z = 0.45, 0.30
            pose.pose.orientation.x, pose.pose.orientation.w = 1.0, 0.0
            publisher.publish(pose)

    rig.create_timer(0.02, speak)


def test_a_pose_in_another_frame_than_the_contracts_is_told_and_not_refused():
    rig, gate = make_gate()
    frames = {f"{STATE}/current_pose": "world"}
    _frame_rig(rig, frames)
    try:
        rig.ready()
        said = "current_pose is in the frame world, the contract's base_frame is fr3_link0"
        rig.until(lambda: (answer := rig.enable()).success and said in answer.message, what="the doubt")
        for sound in ("fr3_link0", "", "/fr3_link0"):
            frames[f"{STATE}/current_pose"] = "world"
            rig.until(lambda: "in the frame" in rig.enable().message)
            frames[f"{STATE}/current_pose"] = sound
            rig.until(lambda: "in the frame" not in rig.enable().message, what=f"no doubt of {sound!r}")
    finally:
        close_gate(rig, gate)


def test_where_the_controller_tells_its_pose_the_drivers_name_for_the_frame_says_nothing():
    rig, gate = make_gate(controller_pose_topic="/current_pose")
    frames = {f"{STATE}/current_pose": "world", "/current_pose": "fr3_link0"}
    _frame_rig(rig, frames)
    try:
        rig.ready()
        rig.until(lambda: (answer := rig.enable()).success and "in the frame" not in answer.message)
        frames["/current_pose"] = "table"
        rig.until(lambda: "/current_pose is in the frame table" in rig.enable().message, what="the controller's frame")
    finally:
        close_gate(rig, gate)

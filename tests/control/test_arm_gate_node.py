"""The arm_gate node over DDS: each test is a promise that a person beside the arm relies on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from arm_rig import STATE  # noqa: E402
from franka_msgs.msg import FrankaRobotState  # noqa: E402
from gate_rig import close_gate, gate_node, make_gate, position  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402

import world4rl_data  # noqa: E402
from world4rl_control.arm_links_node import pose_topic_of  # noqa: E402
from world4rl_data.contract import TaskContract  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402

SCALE = TaskContract.load("franka_sim_press").actions[0].scale


def test_a_disabled_gate_publishes_nothing(rig):
    rig.act([1, 0, 0])
    rig.act([0, 0, 0], Action.HUMAN)
    assert rig.targets == [] and rig.executed == []
    assert not rig.status.enabled and "enable" in rig.status.reason and rig.status.rejected_actions == 2


def test_the_first_target_after_enabling_starts_at_the_measured_pose(rig):
    rig.position = np.array([0.5, 0.1, 0.25])
    rig.spin(0.1)
    assert rig.enable().success
    assert rig.targets == [], "enabling alone moves nothing"
    rig.act([0.5, 0, 0])
    np.testing.assert_allclose(position(rig.targets[0]), rig.position + [0.5 * SCALE, 0, 0], atol=1e-6)
    assert rig.status.enabled and rig.status.reason == "" and rig.status.active_source == Action.POLICY
    executed = rig.executed[0]
    np.testing.assert_allclose(executed.values, [0.5, 0, 0], atol=1e-6)
    assert (executed.source, executed.policy_id) == (Action.POLICY, "test")


def test_the_executed_action_carries_the_stamp_of_the_action_behind_it(rig):
    rig.enable()
    action = Action(values=[9.0, 0.0, 0.0], source=Action.SCRIPTED)
    action.header.stamp = rig.get_clock().now().to_msg()
    rig.actions.publish(action)
    rig.until(lambda: rig.executed)
    assert rig.executed[0].header.stamp == action.header.stamp
    np.testing.assert_allclose(rig.executed[0].values, [1, 0, 0], atol=1e-6)


def test_actions_that_are_not_usable_are_dropped_and_counted(rig):
    rig.enable()
    for values in ([np.nan, 0, 0], [0, 0], [], [0] * 7):
        rig.act(values)
    rig.act([0, 0, 0], source=0)
    rig.act([0, 0, 0], source=200)
    assert rig.targets == [] and rig.status.rejected_actions == 6 and "source" in rig.status.reason
    rig.act([0, 0, 0])
    assert len(rig.targets) == 1 and rig.status.reason == ""


def test_silence_holds_and_says_so_and_a_fresh_action_ends_it(rig):
    rig.enable()
    rig.act([1, 0, 0])
    rig.until(lambda: "no usable action" in rig.status.reason, 2.0)
    assert len(rig.targets) == 1 and rig.status.enabled, "holding sends nothing: no target of zeros, no drift"
    rig.act([1, 0, 0])
    assert len(rig.targets) == 2 and rig.status.reason == ""


def test_a_silent_arm_holds_until_it_speaks_again(rig):
    rig.enable()
    rig.act([1, 0, 0])
    rig.speaking = False
    rig.until(lambda: "no measured pose" in rig.status.reason, 2.0)
    rig.act([1, 0, 0])
    assert len(rig.targets) == 1
    rig.speaking = True
    rig.spin(0.1)
    rig.act([1, 0, 0])
    assert len(rig.targets) == 2


def test_enabling_without_a_fresh_pose_is_refused(rig):
    rig.speaking = False
    rig.spin(0.4)
    answer = rig.enable()
    assert not answer.success and "pose" in answer.message


def test_a_second_publisher_on_the_target_stops_the_gate_for_good(rig):
    rig.enable()
    rig.act([1, 0, 0])
    rival = rig.create_publisher(PoseStamped, "/target_pose", 1)
    rig.until(lambda: not rig.status.enabled, 2.0)
    assert "publisher" in rig.status.reason and not rig.enable().success
    rig.destroy_publisher(rival)
    rig.until(lambda: rig.count_publishers("/target_pose") == 1)
    count = len(rig.targets)
    rig.act([1, 0, 0])
    assert len(rig.targets) == count, "it never resumes by itself"
    assert rig.enable().success


def test_disabling_leaves_the_controller_the_measured_pose(rig):
    rig.enable()
    rig.act([1, 0, 0])
    assert rig.enable(False).success
    rig.until(lambda: len(rig.targets) == 2)
    np.testing.assert_allclose(position(rig.targets[1]), rig.position, atol=1e-9)
    assert not rig.status.enabled


def test_the_answer_of_enable_says_that_somebody_sends_actions_already(rig):
    rig.act([1, 0, 0])
    assert "enabled at the measured pose, but: POLICY sends actions already" in rig.enable().message


def test_a_contract_with_several_poses_must_be_told_which_is_the_arms(tmp_path):
    contract = yaml.safe_load((Path(world4rl_data.__file__).parent / "contracts/franka_sim_press.yaml").read_text())
    (pose,) = (s for s in contract["proprioception"] if s["type"] == "geometry_msgs/msg/PoseStamped")
    contract["proprioception"].insert(0, {**pose, "name": "cube", "topic": "/cube/pose"})
    path = tmp_path / "two_poses.yaml"
    path.write_text(yaml.safe_dump(contract))
    with pytest.raises(ValueError, match=r"several poses, /cube/pose, .*current_pose: .*\(pose_topic\)"):
        pose_topic_of(TaskContract.load(str(path)))  # the first of them might be the cube's
    rig, gate = make_gate(str(path), pose_topic=pose["topic"])
    close_gate(rig, gate)
    contract["proprioception"][0] |= {"topic": pose["topic"], "fields": ["pose.orientation.x"]}
    path.write_text(yaml.safe_dump(contract))
    assert pose_topic_of(TaskContract.load(str(path))) == pose["topic"], "one topic may give several streams"


def test_a_robot_in_reflex_stops_the_gate_and_keeps_it_from_enabling(rig):
    state = rig.create_publisher(FrankaRobotState, f"{STATE}/robot_state", 1)
    rig.until(state.get_subscription_count)
    assert "robot_state_topic): the robot's mode is not watched" in rig.enable().message
    state.publish(FrankaRobotState(robot_mode=2))
    rig.spin(0.1)
    assert rig.status.enabled and rig.enable().message == "enabled at the measured pose"
    state.publish(FrankaRobotState(robot_mode=4))
    rig.until(lambda: not rig.status.enabled, 2.0)
    assert "reflex" in rig.status.reason and "reflex" in rig.enable().message
    state.publish(FrankaRobotState(robot_mode=1))
    rig.spin(0.1)
    assert not rig.status.enabled and rig.enable().success


def test_a_backend_that_does_not_exist_is_refused_with_the_choice():
    with pytest.raises(ValueError, match="servo_twist"):
        gate_node(backend="magic")


def test_enabling_again_starts_afresh_without_a_word_to_the_controller(rig):
    rig.enable()
    rig.act([0, 1, 0], Action.HUMAN)
    rig.position = np.array([0.46, 0.05, 0.33])  # pushed, say
    rig.spin(0.1)
    assert rig.enable().success and len(rig.targets) == 1
    rig.act([0, 0, 0])
    assert rig.executed[-1].source == Action.POLICY, "nobody has the arm after enabling"
    np.testing.assert_allclose(position(rig.targets[-1]), rig.position, atol=1e-9)


def test_a_contract_that_does_not_exist_ends_the_node_with_the_mend():
    command = [sys.executable, "-m", "world4rl_control.arm_gate_node", "--ros-args", "-p", "contract:=no_such"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False)
    assert ended.returncode != 0 and "no_such" in ended.stderr and "Traceback" not in ended.stderr

"""The sim_arm node over DDS: what a program written for franka_ros2 and RealSense relies on."""

from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.ros

from franka_msgs.action import Grasp, Move  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.qos import ReliabilityPolicy  # noqa: E402
from sim_rig import FINGERS, FRONT, STATE, WRIST, SimRig, node_process, rig  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.fixture(scope="module")
def arm(request: pytest.FixtureRequest, ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimRig]:
    """A test's parameter is `lockstep_timeout_s`, of a node that is started for it."""
    log = tmp_path_factory.mktemp("log") / "sim_arm.log"
    options = {"contract": "franka_sim", "task": "lift_cube", "lockstep_timeout_s": getattr(request, "param", 3.0)}
    with node_process("world4rl_sim.sim_arm_node", log, **options), rig("franka_sim") as node:
        node.wait_for(node.all_heard)
        yield node


def test_names_types_and_qos_are_those_of_the_real_drivers(arm: SimRig) -> None:
    """A reliable publisher where the robot has best effort would hide subscriptions that hear nothing on the robot."""
    expected = {
        f"{STATE}/current_pose": ("geometry_msgs/msg/PoseStamped", BEST_EFFORT),
        f"{STATE}/measured_joint_states": ("sensor_msgs/msg/JointState", BEST_EFFORT),
        f"{STATE}/robot_state": ("franka_msgs/msg/FrankaRobotState", RELIABLE),
        "/joint_states": ("sensor_msgs/msg/JointState", RELIABLE),
        FINGERS: ("sensor_msgs/msg/JointState", RELIABLE),
        FRONT: ("sensor_msgs/msg/Image", RELIABLE),
        WRIST: ("sensor_msgs/msg/Image", RELIABLE),
        "/clock": ("rosgraph_msgs/msg/Clock", RELIABLE),
    }
    seen = {}
    for topic in expected:
        (info,) = arm.get_publishers_info_by_topic(topic)
        seen[topic] = (info.topic_type, info.qos_profile.reliability)
    assert seen == expected
    image, fingers = arm.newest[FRONT], arm.newest[FINGERS]
    assert (image.encoding, image.height, image.width, image.step, len(image.data)) == ("rgb8", 64, 64, 192, 64 * 192)
    assert len(fingers.position) == 2
    assert arm.tool.header.frame_id == "fr3_link0"


def test_time_goes_on_without_targets(arm: SimRig) -> None:
    """A person who looks at the graph before starting a policy must see live topics, not a frozen clock."""
    begun = arm.now_s
    arm.wait_for(lambda: arm.now_s >= begun + 0.5)


def test_the_arm_goes_on_to_its_target_when_nobody_sends_another(arm: SimRig) -> None:
    assert arm.reset(0, "home").success
    arm.wait_for(lambda: arm.tool.pose.position.z == pytest.approx(0.30, abs=0.005))
    target = PoseStamped(pose=arm.tool.pose)
    target.pose.position.z = 0.25
    arm.send_target(target)
    arm.wait_for(lambda: arm.tool.pose.position.z < 0.252)


def test_same_seed_same_pictures_and_the_clock_only_goes_forwards(arm: SimRig) -> None:
    """Paired evaluation on the graph needs reproducible starts; a clock set back would upset every node.

    The scene moves while it settles, and not every picture is heard: those of two starts agree in some.
    """
    pictures = []
    for seed in (5, 6, 5):
        before = arm.now_s
        assert arm.reset(seed).success
        pictures.append(arm.pictures_between(before, before + 1.0))
    assert pictures[0] & pictures[2] and not pictures[0] & pictures[1]


def test_reset_to_a_named_pose_and_to_one_that_is_not_there(arm: SimRig) -> None:
    """An unknown pose is refused with the names that exist; the arm is left alone."""
    assert arm.reset(1, "home").success
    before = arm.now_s
    arm.wait_for(lambda: arm.now_s > before)
    assert arm.tool.pose.position.z == pytest.approx(0.30, abs=0.005)
    refused = arm.reset(1, "attic")
    assert not refused.success
    assert "home" in refused.message


def test_gripper_actions_close_and_open(arm: SimRig) -> None:
    """grasp with a wide tolerance closes on nothing or anything; move opens, and refuses an impossible width."""
    assert arm.reset(0, "home").success
    grasp = ActionClient(arm, Grasp, "/franka_gripper/grasp")
    move = ActionClient(arm, Move, "/franka_gripper/move")
    assert grasp.wait_for_server(timeout_sec=20.0)
    assert move.wait_for_server(timeout_sec=20.0)
    goal = Grasp.Goal(width=0.0, speed=0.1, force=20.0)
    goal.epsilon.inner = goal.epsilon.outer = 0.08
    closed = arm.result(arm.result(grasp.send_goal_async(goal)).get_result_async()).result
    assert closed.success, closed.error
    arm.wait_for(lambda: sum(arm.newest[FINGERS].position) < 0.005)
    opened = arm.result(arm.result(move.send_goal_async(Move.Goal(width=0.08, speed=0.1))).get_result_async()).result
    assert opened.success, opened.error
    arm.wait_for(lambda: sum(arm.newest[FINGERS].position) > 0.07)
    wrong = arm.result(arm.result(move.send_goal_async(Move.Goal(width=0.5, speed=0.1))).get_result_async()).result
    assert "0.08" in wrong.error


def test_stop_ends_a_move_that_an_object_blocks(arm: SimRig) -> None:
    """The gate calls stop before each new goal; a goal left running would hold its client for ever."""
    assert arm.reset(0).success
    move = ActionClient(arm, Move, "/franka_gripper/move")
    stop = arm.create_client(Trigger, "/franka_gripper/stop")
    assert move.wait_for_server(timeout_sec=20.0)
    assert stop.wait_for_service(timeout_sec=20.0)
    target = PoseStamped(pose=arm.tool.pose)
    target.pose.position = arm.newest["/world4rl/sim_arm/objects"].markers[0].pose.position
    for _ in range(10):
        before = arm.now_s
        arm.send_target(target)
        arm.wait_for(lambda before=before: arm.now_s > before)
    handle = arm.result(move.send_goal_async(Move.Goal(width=0.0, speed=0.1)))
    future, before = handle.get_result_async(), arm.now_s
    arm.wait_for(lambda: arm.now_s > before + 1.0)
    assert not future.done()
    assert arm.result(stop.call_async(Trigger.Request())).success
    assert arm.result(future).result.error == "stopped"


@pytest.mark.parametrize("arm", [60.0], indirect=True)
def test_each_target_advances_one_period_and_the_arm_follows(arm: SimRig) -> None:
    """Lockstep: one target, one period of .1 s, as fast as the machine can; every topic carries the period's stamp.

    Nothing else moves a driven arm's clock for longer than is waited here for a period.
    """
    start, target = arm.tool.pose.position.z, PoseStamped(pose=arm.tool.pose)
    for step in range(1, 11):
        before = arm.now_s
        target.pose.position.z = start - 0.005 * step
        arm.send_target(target)
        if step == 1:  # until it comes, periods pass by themselves, in which the arm rests
            arm.wait_for(lambda: arm.tool.pose.position.z < start - 0.0005 and arm.whole_period(), 30.0)
            continue
        arm.wait_for(lambda before=before: arm.now_s > before and arm.whole_period(), 30.0)
        assert arm.now_s == pytest.approx(before + 0.1)
    assert arm.tool.pose.position.z == pytest.approx(start - 0.05, abs=0.015)

"""The explorer node over DDS: silent until enabled, then one random action per observation and control period."""

import time

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

import rclpy  # noqa: E402
from rclpy.callback_groups import ReentrantCallbackGroup  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.task import Future  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from world4rl_control.explorer import RandomExplorer  # noqa: E402
from world4rl_control.explorer_episodes import Phase  # noqa: E402
from world4rl_control.explorer_node import ExplorerNode  # noqa: E402
from world4rl_data.contract import TaskContract  # noqa: E402
from world4rl_data.message_types import message_class  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402
from world4rl_interfaces.srv import ResetArm  # noqa: E402

PRESS = TaskContract.load("franka_sim_press")


def test_it_acts_when_enabled_and_only_on_complete_observations():
    explorer = ExplorerNode([Parameter("contract", value="franka_sim_press"), Parameter("seed", value=3)])
    rig = rclpy.create_node("rig")
    executor = SingleThreadedExecutor()
    executor.add_node(explorer)
    executor.add_node(rig)
    heard: list[Action] = []
    rig.create_subscription(Action, PRESS.action_topic, heard.append, 10)
    streams = [rig.create_publisher(message_class(kind), topic, 1) for topic, kind in PRESS.observation_topics.items()]
    enabler = rig.create_client(SetBool, "/explorer/enable")

    def spin(seconds: float, until=lambda: False) -> None:
        end = rig.get_clock().now().nanoseconds + seconds * 1e9
        while rig.get_clock().now().nanoseconds < end and not until():
            executor.spin_once(timeout_sec=0.01)

    def observe(publishers) -> None:
        for publisher in publishers:
            publisher.publish(publisher.msg_type())
        spin(0.12)

    try:
        found = lambda: all(s.get_subscription_count() for s in streams) and enabler.service_is_ready()  # noqa: E731
        spin(5.0, lambda: found() and rig.count_publishers(PRESS.action_topic))
        observe(streams)
        assert heard == [], "it starts disabled"
        answer = enabler.call_async(SetBool.Request(data=True))
        spin(5.0, answer.done)
        assert answer.result().success
        spin(0.2)
        heard.clear()  # the observation from before may count as the first
        observe(streams[1:])
        assert heard == [], "a stream is missing"
        observe(streams)
        observe(streams)
        assert len(heard) == 2
        assert all(action.source == Action.RANDOM and len(action.values) == PRESS.action_dim for action in heard)
        first = RandomExplorer(PRESS, 3)
        first.reset()  # enabling does
        known = np.array([first.act() for _ in range(4)], np.float32)
        assert any(np.array_equal(heard[0].values, row) for row in known), "the seed decides"
        stamps = [action.header.stamp.sec + 1e-9 * action.header.stamp.nanosec for action in heard]
        assert stamps[1] - stamps[0] >= 0.9 * PRESS.period_s
    finally:
        executor.shutdown()
        explorer.destroy_node()
        rig.destroy_node()


def test_a_gate_that_does_not_answer_is_given_up_and_its_late_answer_changes_nothing():
    """A recorder or gate that dies in between must not leave an explorer that can neither go on nor begin anew."""
    values = {"contract": "franka_sim_press", "episodes": 1, "answer_timeout_s": 1.0}
    explorer = ExplorerNode([Parameter(name, value=value) for name, value in values.items()])
    rig, executor = rclpy.create_node("rig"), SingleThreadedExecutor()
    executor.add_node(explorer)
    executor.add_node(rig)
    held: list[Future] = []

    async def hold(_request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        held.append(Future(executor=executor))
        response.success = await held[-1]
        return response

    rig.create_service(ResetArm, "arm_gate/reset", hold, callback_group=ReentrantCallbackGroup())
    enabler = rig.create_client(SetBool, "/explorer/enable")

    def until(condition) -> None:
        end = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < end
            executor.spin_once(timeout_sec=0.01)

    def enable() -> None:
        answer = enabler.call_async(SetBool.Request(data=True))
        until(answer.done)
        assert answer.result().success

    try:
        until(lambda: enabler.service_is_ready() and explorer._asked["reset"].service_is_ready())
        enable()
        until(lambda: explorer._run.phase is Phase.IDLE)
        assert "moving home failed: arm_gate/reset did not answer in 1 s" in explorer._run.message
        explorer.set_parameters([Parameter("answer_timeout_s", value=600.0)])
        enable()
        until(lambda: len(held) == 2)
        held[0].set_result(True)
        for _ in range(20):
            executor.spin_once(timeout_sec=0.01)
        assert explorer._run.phase is Phase.RESET, "that was the answer to what was given up"
        explorer._awaited[1].set_exception(RuntimeError("out of order"))
        until(lambda: explorer._run.phase is Phase.IDLE)
        assert "out of order" in explorer._run.message
    finally:
        executor.shutdown()
        explorer.destroy_node()
        rig.destroy_node()

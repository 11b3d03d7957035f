"""Playing over ROS: a joystick's messages steer, the dream is on its topics. Over real DDS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, Joy
from std_msgs.msg import Float32

from world4rl.play.hands import Order
from world4rl.play.ros_node import JoyHand, PlayNode, TopicsView
from world4rl.play.session import Moment
from world4rl_control.teleop_joystick import JoystickConfig
from world4rl_data.contract import TaskContract
from world4rl_wm.uncertainty.kind import UncertaintyKind

pytestmark = pytest.mark.ros
CONTRACT = TaskContract.load("franka_sim_press")
PAD = JoystickConfig()


@pytest.fixture
def play(ros_domain: int) -> Iterator[PlayNode]:
    node = PlayNode()
    yield node
    node.close()


@pytest.fixture
def outside(ros_domain: int) -> Iterator[Node]:
    """Another node, of another context, as another process would have."""
    context = rclpy.Context()
    rclpy.init(context=context)
    yield rclpy.create_node("outside", context=context)
    rclpy.shutdown(context=context)


def until(done: Callable[[], bool], step: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        step()
        time.sleep(0.02)


def joy(*pressed: int, ahead: float = 0.0) -> Joy:
    axes = [0.0] * 6
    axes[PAD.axis_dx] = ahead
    return Joy(axes=axes, buttons=[int(i in pressed) for i in range(15)])


def test_a_joystick_moves_while_its_dead_man_is_held(play: PlayNode, outside: Node) -> None:
    hand, stick = JoyHand(play, CONTRACT, "/joy"), outside.create_publisher(Joy, "/joy", 10)
    until(lambda: stick.get_subscription_count() > 0, lambda: None)
    wishes = [hand.poll()]
    until(lambda: bool(wishes[-1].action is not None), lambda: (
        stick.publish(joy(ahead=1.0)), stick.publish(joy(PAD.deadman, ahead=1.0)), wishes.append(hand.poll())
    ))  # fmt: skip
    action = wishes[-1].action
    assert action is not None and action.tolist() == [1, 0, 0], "full deflection is all that the contract allows"
    stick.publish(joy(ahead=1.0))
    until(lambda: wishes[-1].action is None, lambda: wishes.append(hand.poll()))
    orders: list[Order] = []
    for button, order in ((PAD.start, Order.NEW_START), (PAD.disable, Order.QUIT)):
        stick.publish(joy(button))
        until(lambda: order in orders, lambda: orders.extend(hand.poll().orders))  # noqa: B023
        stick.publish(joy())
    assert orders == [Order.NEW_START, Order.QUIT]


def test_the_newest_moment_is_on_the_topics(play: PlayNode, outside: Node) -> None:
    view = TopicsView(play)
    seen: dict[str, list] = {"frames": [], "success_probability": [], "uncertainty": []}
    for name, kind in {"frames": Image, "success_probability": Float32, "uncertainty": Float32}.items():
        outside.create_subscription(kind, f"/world4rl/play/{name}", seen[name].append, 1)
    frame = np.arange(6 * 32 * 32, dtype=np.uint8).reshape(6, 32, 32)
    moments = [Moment(0, frame, 0.25, 0.5)]
    executor = rclpy.executors.SingleThreadedExecutor(context=outside.context)
    executor.add_node(outside)

    def show() -> None:
        view.show(moments, UncertaintyKind.DISAGREEMENT, "")
        executor.spin_once(timeout_sec=0.05)

    until(lambda: all(seen.values()), show)
    image = seen["frames"][0]
    assert (image.width, image.height, image.encoding) == (64, 32, "rgb8")
    shown = np.frombuffer(bytes(image.data), np.uint8).reshape(32, 2, 32, 3)
    assert np.array_equal(shown[:, 1], frame[3:].transpose(1, 2, 0))
    assert (seen["success_probability"][0].data, seen["uncertainty"][0].data) == (0.25, 0.5)

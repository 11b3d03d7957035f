"""ROS for a play: a joystick's Joy messages as a hand, and the dream on topics."""

from __future__ import annotations

import threading
import time
from collections import deque

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, Joy
from std_msgs.msg import Float32

from world4rl.play.hands import TeleopHand, Wish
from world4rl.play.session import Moment
from world4rl_control.teleop_buttons import TeleopEvent
from world4rl_control.teleop_joystick import JoystickMap
from world4rl_data.contract import TaskContract
from world4rl_data.spin_node import until_shutdown
from world4rl_wm.ros.rollout_messages import image_message
from world4rl_wm.uncertainty.kind import UncertaintyKind

DEAD_ZONE = 0.1  # deflection of a stick that counts as none
SILENCE_S = 0.5  # a held dead-man counts for this long without a message
KEPT = 100  # messages between two steps; older ones are lost


class PlayNode:
    """The node `/world4rl/play`, spun by a thread of its own; it needs no other node."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("play", namespace="/world4rl", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="play node", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with until_shutdown(self._context):
            self._executor.spin()

    def close(self) -> None:
        """Leave the graph."""
        rclpy.try_shutdown(context=self._context)
        self._thread.join()


class JoyHand(TeleopHand):
    """A joystick over ROS, with teleoperation's buttons: see docs/teleop.md."""

    def __init__(self, node: PlayNode, contract: TaskContract, topic: str) -> None:
        self._stick = JoystickMap(SILENCE_S, DEAD_ZONE)
        self._heard: deque[tuple[Joy, float]] = deque(maxlen=KEPT)
        super().__init__(contract, self._stick)
        node.node.create_subscription(Joy, topic, lambda joy: self._heard.append((joy, time.monotonic())), 10)

    def poll(self) -> Wish:
        """See Hand. Raises ValueError where the joystick lacks what it needs."""
        events: list[TeleopEvent] = []
        while self._heard:
            joy, heard_s = self._heard.popleft()
            events += self._stick.see(joy.axes, joy.buttons, heard_s)
        if self._stick.problem:
            raise ValueError(f"joystick: {self._stick.problem}")
        return self.wish(events, time.monotonic())


class TopicsView:
    """The newest moment on `~/frames`, `~/success_probability` and `~/uncertainty`, reliable, depth 1."""

    def __init__(self, node: PlayNode) -> None:
        self._node = node.node
        self._frames = self._node.create_publisher(Image, "~/frames", 1)
        self._success = self._node.create_publisher(Float32, "~/success_probability", 1)
        self._uncertainty = self._node.create_publisher(Float32, "~/uncertainty", 1)

    def show(self, moments: list[Moment], kind: UncertaintyKind, note: str) -> None:
        """See View."""
        newest = moments[-1]
        self._frames.publish(image_message(newest.frame, self._node.get_clock().now().to_msg()))
        self._success.publish(Float32(data=newest.success))
        self._uncertainty.publish(Float32(data=newest.uncertainty))

"""A person at the input device: what drives the teleop node in its tests, and hears its actions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Joy

from world4rl_data.contract import TaskContract
from world4rl_interfaces.msg import Action

LIFT = TaskContract.load("franka_sim_lift")


class Hand:
    """A driver that repeats its state, as joy and spacenav do, and an ear on the actions."""

    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        self.node, self.executor = node, executor
        self.axes, self.buttons, self.twist = [0.0] * 6, [0] * 21, Twist()
        self.speaking = True
        self.heard: list[tuple[float, Action]] = []
        self.spoke_s = self.stall_s = 0.0  # when it spoke last; longest that a busy machine kept this process waiting
        self._joys = [node.create_publisher(Joy, topic, 10) for topic in ("/joy", "/spacenav/joy")]
        self._twists = node.create_publisher(Twist, "/spacenav/twist", 10)
        node.create_subscription(Action, LIFT.action_topic, self._hear, 10)
        self._timer = node.create_timer(0.04, self._speak)

    def _hear(self, action: Action) -> None:
        self.heard.append((time.monotonic(), action))

    def _speak(self) -> None:
        if self.speaking:
            for joy in self._joys:
                joy.publish(Joy(axes=self.axes, buttons=self.buttons))
            self._twists.publish(self.twist)
            self.spoke_s = time.monotonic()

    def press(self, *buttons: int) -> None:
        self.buttons = [int(index in buttons) for index in range(21)]

    def until(self, condition: Callable[[], Any], timeout_s: float = 5.0, what: str = "") -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited {timeout_s} s for {what or condition}"
            self.executor.spin_once(timeout_sec=0.02)

    def spin(self, seconds: float) -> None:
        now_s = time.monotonic()
        end = now_s + seconds
        while now_s < end:
            before_s = now_s
            self.executor.spin_once(timeout_sec=0.01)
            now_s = time.monotonic()
            self.stall_s = max(self.stall_s, now_s - before_s - 0.01)

    def hold_until(self, buttons: tuple[int, ...], condition: Callable[[], Any], what: str = "") -> None:
        """Hold buttons until the condition holds; press anew where a busy machine delayed the driver's messages."""
        end = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < end, f"waited for {what or condition}"
            self.press()
            self.spin(0.15)
            self.press(*buttons)
            again = time.monotonic() + 2.0
            while not condition() and time.monotonic() < again:
                self.executor.spin_once(timeout_sec=0.02)

    def values(self) -> np.ndarray:
        return np.array(self.heard[-1][1].values)

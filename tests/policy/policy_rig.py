"""A robot of the small contract on the graph, and the policy node in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from small_policy import pixels, small_contract
from std_srvs.srv import SetBool

from world4rl_interfaces.msg import Action, PolicyStatus
from world4rl_interfaces.srv import LoadCheckpoint

CONTRACT = small_contract()
SOURCE = Path(__file__).parents[2] / "src"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4


class Robot:
    """Cameras and arm at 10 Hz, and everything that listens to the policy."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("robot")
        self.images = {s.name: self.node.create_publisher(Image, s.topic, 1) for s in CONTRACT.images}
        self.pose = self.node.create_publisher(PoseStamped, CONTRACT.proprioception[0].topic, 1)
        self.executed = self.node.create_publisher(Action, CONTRACT.executed_action_topic, 1)
        self.actions: list[Action] = []
        self.status: list[PolicyStatus] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.sent_ns: list[int] = []  # when they left, by the system's clock
        self.node.create_subscription(Action, "/world4rl/action", self.on_action, 10)
        self.node.create_subscription(PolicyStatus, "/world4rl/policy/status", self.status.append, LATCHED)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        self.frames: list[tuple[int, np.ndarray]] = []  # stamp, (6, H, W)
        self.silent: set[str] = set()
        self.timer = self.node.create_timer(CONTRACT.period_s, self.tick)
        self.clients: dict[str, Any] = {}
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def on_action(self, action: Action, info: Any) -> None:
        self.actions.append(action)
        self.executed.publish(action)  # as a gate that changes nothing
        self.sent_ns.append(info["source_timestamp"])

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join(5)
        self.node.destroy_node()

    def tick(self) -> None:
        now = self.node.get_clock().now()
        pose = PoseStamped()
        pose.header.stamp = now.to_msg()
        self.pose.publish(pose)
        shots = [pixels(2 * len(self.frames) + i) for i in range(2)]
        self.frames.append((now.nanoseconds, np.concatenate(shots, axis=2).transpose(2, 0, 1)))
        for shot, (name, publisher) in zip(shots, self.images.items(), strict=True):
            if name not in self.silent:
                message = Image(height=16, width=16, encoding="rgb8", step=48, data=shot.tobytes(), header=pose.header)
                publisher.publish(message)

    def ask(self, kind: Any, name: str, request: Any, timeout: float = 60.0) -> Any:
        """The future of a service's answer."""
        client = self.client(kind, name)
        assert client.wait_for_service(timeout), f"{name} did not come up"
        return client.call_async(request)

    def client(self, kind: Any, name: str) -> Any:
        if name not in self.clients:
            self.clients[name] = self.node.create_client(kind, name)
        return self.clients[name]

    def call(self, kind: Any, name: str, request: Any, timeout: float = 60.0) -> Any:
        future = self.ask(kind, name, request, timeout)
        wait_until(future.done, timeout)
        return future.result()

    def change(self, transition: int, node: str = "policy") -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        name = f"/world4rl/{node}/change_state"
        self.client(ChangeState, name)  # first: a node hears of clients in the order in which they were made
        self.await_answers(node)
        return self.call(ChangeState, name, request).success

    def await_answers(self, node: str, timeout: float = 60.0) -> None:
        """Ask a node that may just have started for its state until an answer comes.

        DDS matches each of a service's two topics by itself: a request may be served before the way back is found, and
        its answer is lost then. A state may be asked for again, a transition may not.
        """
        end = time.monotonic() + timeout
        while True:
            state = self.ask(GetState, f"/world4rl/{node}/get_state", GetState.Request(), timeout)
            patience = time.monotonic() + 2.0
            while time.monotonic() < patience:
                if state.done():
                    return
                time.sleep(0.005)
            assert time.monotonic() < end, f"{node} does not answer"

    def enable(self, data: bool, node: str = "policy") -> SetBool.Response:
        return self.call(SetBool, f"/world4rl/{node}/enable", SetBool.Request(data=data))

    def ask_load(self, path: Path | str) -> Any:
        return self.ask(LoadCheckpoint, "/world4rl/policy/load_checkpoint", LoadCheckpoint.Request(uri=str(path)))

    def load(self, path: Path | str) -> LoadCheckpoint.Response:
        future = self.ask_load(path)
        wait_until(future.done)
        return future.result()


def wait_until(condition: Any, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def start(name: str, *options: str) -> subprocess.Popen:
    paths = [*map(str, SOURCE.glob("world4rl*")), os.environ.get("PYTHONPATH", "")]
    words = ["-r", "__ns:=/world4rl", "-r", f"__node:={name}", *(word for option in options for word in ("-p", option))]
    command = [sys.executable, "-m", "world4rl_policy.policy_node", "--ros-args", *words]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})

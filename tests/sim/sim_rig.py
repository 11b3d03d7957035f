"""The other end of the simulated arm in its node tests: processes of the graph, and a listener over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool
from visualization_msgs.msg import MarkerArray

from world4rl_data.contract import TaskContract
from world4rl_interfaces.srv import ResetArm

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
FRONT = "/camera/camera/color/image_raw"
WRIST = "/wrist_camera/camera/color/image_raw"
STATE = "/franka_robot_state_broadcaster"
FINGERS = "/franka_gripper/joint_states"


@contextmanager
def node_process(module: str, log: Path, **parameters: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A node as a process of its own in namespace /world4rl; ended with SIGINT, and killed where that does not help."""
    words = [sys.executable, "-m", module, "--ros-args", "-r", "__ns:=/world4rl"]
    for name, value in parameters.items():
        words += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


class SimRig(Node):
    """Keeps the newest message of each topic by its name, and sends targets and resets."""

    def __init__(self, contract: str) -> None:
        super().__init__("sim_rig")
        self.newest: dict[str, Any] = {}
        self.cameras = [stream.topic for stream in TaskContract.load(contract).images]
        for topic, kind in (
            ("/clock", Clock),
            (f"{STATE}/current_pose", PoseStamped),
            (FINGERS, JointState),
            *((topic, Image) for topic in self.cameras),
            ("/world4rl/sim_arm/objects", MarkerArray),
            ("/world4rl/sim_arm/success", Bool),
        ):
            self.create_subscription(kind, topic, lambda m, topic=topic: self.newest.__setitem__(topic, m), BEST_EFFORT)
        self._target: Any = None
        self._reset = self.create_client(ResetArm, "/world4rl/sim_arm/reset")
        self.executor_ = SingleThreadedExecutor()
        self.executor_.add_node(self)

    def wait_for(self, met: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Serves callbacks until the condition holds; AssertionError when it does not within the time."""
        deadline = time.monotonic() + timeout_s
        while not met():
            assert time.monotonic() < deadline, f"not within {timeout_s} s; heard so far: {sorted(self.newest)}"
            self.executor_.spin_once(timeout_sec=0.05)

    def result(self, future: Any) -> Any:
        self.wait_for(future.done)
        return future.result()

    def reset(self, seed: int, pose: str = "") -> ResetArm.Response:
        assert self._reset.wait_for_service(timeout_sec=20.0)
        return self.result(self._reset.call_async(ResetArm.Request(seed=seed, pose=pose)))

    def all_heard(self) -> bool:
        return len(self.newest) == 5 + len(self.cameras)

    @property
    def now_s(self) -> float:
        clock = self.newest["/clock"].clock
        return clock.sec + clock.nanosec * 1e-9

    @property
    def tool(self) -> PoseStamped:
        return self.newest[f"{STATE}/current_pose"]

    def whole_period(self) -> bool:
        """The clock, the arm's state and the pictures that have arrived are of one instant."""
        stamp = self.newest["/clock"].clock
        topics = (f"{STATE}/current_pose", FINGERS, *self.cameras)
        return all(self.newest[topic].header.stamp == stamp for topic in topics)

    def pictures_between(self, begin_s: float, end_s: float) -> set[bytes]:
        """The front pictures heard until the clock is past `end_s`, of stamps later than `begin_s`."""
        seen: set[bytes] = set()

        def over() -> bool:
            if _seconds(self.newest[FRONT].header.stamp) > begin_s:
                seen.add(bytes(self.newest[FRONT].data))
            return self.now_s > end_s

        self.wait_for(over)
        return seen

    def send_target(self, message: PoseStamped) -> None:
        if self._target is None:  # not before: the gate refuses to share the topic
            self._target = self.create_publisher(PoseStamped, "/target_pose", 1)
            self.wait_for(lambda: self._target.get_subscription_count() > 0)
        self._target.publish(message)


def _seconds(stamp: Any) -> float:
    return stamp.sec + stamp.nanosec * 1e-9


@contextmanager
def rig(contract: str) -> Iterator[SimRig]:
    """A listener with a ROS context around it."""
    rclpy.init()
    node = SimRig(contract)
    try:
        yield node
    finally:
        node.executor_.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()

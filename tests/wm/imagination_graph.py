"""Another process on the graph, for tests of the imagination node: starts the node, asks it, plays the robot's part."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import small_models
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Float32
from visualization_msgs.msg import MarkerArray

from world4rl_interfaces.action import ImagineRollouts
from world4rl_interfaces.msg import Action
from world4rl_interfaces.srv import ImagineRollout, LoadCheckpoint

CONTRACT = small_models.small_contract()
SOURCE = Path(__file__).parents[2] / "src"


class Client:
    """Another process on the graph: asks, listens, and plays the robot's part."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("client")
        self.images = {s.topic: self.node.create_publisher(Image, s.topic, 1) for s in CONTRACT.images}
        self.pose = self.node.create_publisher(PoseStamped, CONTRACT.proprioception[0].topic, 1)
        self.acted = self.node.create_publisher(Action, "/world4rl/executed_action", 10)
        self.shown: dict[str, list[Any]] = {}
        topics = {"frames": Image, "real": Image, "markers": MarkerArray}
        topics |= {"uncertainty": Float32, "success_probability": Float32}
        for name, kind in topics.items():
            self.shown[name] = []
            self.node.create_subscription(kind, f"/world4rl/imagination/{name}", self.shown[name].append, 100)
        self.action = ActionClient(self.node, ImagineRollouts, "/world4rl/imagine_rollouts")
        self.clients = {
            kind: self.node.create_client(kind, name)
            for kind, name in (
                (ImagineRollout, "/world4rl/imagine_rollout"),
                (LoadCheckpoint, "/world4rl/imagination/load_checkpoint"),
            )
        }
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def wait(self, future: Any, timeout: float = 60.0) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout), "waited in vain"
        return future.result()

    def ask(self, **fields: Any) -> ImagineRollout.Response:
        return self.wait(self.clients[ImagineRollout].call_async(ImagineRollout.Request(**fields)))

    def load(self, path: Path) -> LoadCheckpoint.Response:
        return self.wait(self.clients[LoadCheckpoint].call_async(LoadCheckpoint.Request(uri=str(path))))

    def send_goal(self, **fields: Any) -> tuple[Any, list[ImagineRollouts.Feedback]]:
        feedback: list[ImagineRollouts.Feedback] = []
        goal = ImagineRollouts.Goal(**fields)

        def send() -> Any:
            return self.action.send_goal_async(goal, lambda message: feedback.append(message.feedback))

        # In the executor's thread: rclpy registers the goal's future twice, and an answer taken in between is lost.
        sent = self.wait(self.executor.create_task(send))
        return self.wait(sent), feedback

    def publish_robot(self, value: int) -> None:
        """One moment of two cameras and the arm, as a driver publishes them."""
        now = self.node.get_clock().now().to_msg()
        pose = PoseStamped()
        pose.header.stamp = now
        self.pose.publish(pose)
        for publisher in self.images.values():
            image = image_message(np.full((24, 32, 3), value, np.uint8))
            image.header.stamp = now
            publisher.publish(image)


def wait_until(condition: Any, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def image_message(rgb: np.ndarray) -> Image:
    height, width, _ = rgb.shape
    return Image(height=height, width=width, encoding="rgb8", step=3 * width, data=rgb.tobytes())


def moment() -> list[Image]:
    return [image_message(small_models.picture(i)) for i in range(2)]


def good(**changes: Any) -> dict[str, Any]:
    fields = {
        "context_source": ImagineRollout.Request.GIVEN,
        "context": moment(),
        "horizon": 3,
        "actions": [0.25] * 9,
        "samples": 2,
        "seed": 5,
        "return_frames": True,
    }
    return {**fields, **changes}


def policy_entry_points(folder: Path) -> list[str]:
    """What the node finds policies by. Where world4rl_policy runs from source, its setup.py writes it to `folder`."""
    if entry_points(group="world4rl.policies"):
        return []
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
    subprocess.run(command, cwd=SOURCE / "world4rl_policy", check=True)
    return [str(folder)]


@contextmanager
def running_node(folder: Path, **parameters: object) -> Iterator[subprocess.Popen]:
    """The node without any model, on the CPU; `folder` is for what it needs on disk."""
    paths = [*policy_entry_points(folder), *map(str, SOURCE.glob("world4rl*")), os.environ.get("PYTHONPATH", "")]
    options = ["-r", "__ns:=/world4rl"]
    for name, value in {"device": "cpu", **parameters}.items():
        options += ["-p", f"{name}:={value}"]
    command = [sys.executable, "-m", "world4rl_wm.imagination_node", "--ros-args", *options]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def connected_client() -> Iterator[Client]:
    """A client that has found the node's services."""
    rclpy.init()
    client = Client()
    try:
        for service in client.clients.values():
            assert service.wait_for_service(120), "the node does not come up"
        assert client.action.wait_for_server(60)
        yield client
    finally:
        client.executor.shutdown()
        client.thread.join(5)
        client.node.destroy_node()
        rclpy.shutdown()

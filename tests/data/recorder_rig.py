"""A robot on the graph that recorders record, and a second recorder that a test may end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from world4rl_data.contract import TaskContract
from world4rl_interfaces.msg import Action, EpisodeStatus
from world4rl_interfaces.srv import StartEpisode, StopEpisode

PRESS = TaskContract.load("franka_sim_push")
RECORDER = ("-m", "world4rl_data.recorder_node")
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Robot:
    """Publishes what a robot, its cameras and the gate would, ten times a second, and remembers it."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("robot")
        self.images = {s.name: self.node.create_publisher(Image, s.topic, BEST_EFFORT) for s in PRESS.images}
        self.pose = self.node.create_publisher(PoseStamped, PRESS.proprioception[0].topic, BEST_EFFORT)
        self.fingers = self.node.create_publisher(JointState, PRESS.proprioception[1].topic, 1)
        self.wish = self.node.create_publisher(Action, PRESS.action_topic, 1)
        self.executed = self.node.create_publisher(Action, PRESS.executed_action_topic, 1)
        self.label = self.node.create_publisher(String, "/label", LATCHED)
        self.label.publish(String(data="a latched word"))
        self.status: list[EpisodeStatus] = []
        self.node.create_subscription(EpisodeStatus, "/world4rl/recorder/status", self.status.append, LATCHED)
        self.warnings: list[str] = []  # of the recorder's diagnostics
        self.healthy = 0  # diagnostics without one since the last
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.saw_diagnostics, 10)
        self.node.create_timer(0.1, self.tick)
        self.silent: set[str] = set()
        self.sent: dict[int, dict] = {}  # stamp -> front pixels, x, action
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def tick(self) -> None:
        rng = np.random.default_rng(len(self.sent))
        now = self.node.get_clock().now()
        header = PoseStamped().header
        header.stamp = now.to_msg()
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        pose = PoseStamped(header=header)
        pose.pose.position.x = float(rng.normal())
        self.pose.publish(pose)
        self.fingers.publish(JointState(header=header, name=["l", "r"], position=[0.01, 0.01]))
        for name, publisher in self.images.items():
            if name not in self.silent:
                publisher.publish(
                    Image(header=header, height=32, width=32, encoding="rgb8", step=96, data=pixels.tobytes())
                )
        values = rng.uniform(-1, 1, 3).astype(np.float32)
        action = Action(header=header, values=values.tolist(), source=Action.SCRIPTED)
        self.wish.publish(Action(header=header, values=[1.0, 1.0, 1.0], source=Action.SCRIPTED))
        self.executed.publish(action)
        self.sent[now.nanoseconds] = {"front": pixels, "x": pose.pose.position.x, "action": values}

    def saw_diagnostics(self, array: DiagnosticArray) -> None:
        for entry in array.status:
            if entry.name == "/world4rl/recorder":
                warns = entry.level != DiagnosticStatus.OK
                self.healthy = 0 if warns else self.healthy + 1
                self.warnings += [entry.message] if warns else []

    def button(self, name: str):
        return self.call(Trigger, f"/world4rl/recorder/{name}", Trigger.Request())

    def call(self, kind, name, request, timeout=15.0):
        return self.answer(self.ask(kind, name, request, timeout), timeout)

    def ask(self, kind, name, request, timeout=15.0):
        """(client, future of the answer), for `answer`."""
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(timeout), f"{name} did not come up"
        return client, client.call_async(request)

    def answer(self, asked, timeout=15.0):
        client, future = asked
        wait_until(future.done, f"{client.srv_name} did not answer", timeout)
        self.node.destroy_client(client)
        return future.result()

    def messages_told(self, episode: str, namespace: str = "/second") -> int:
        """Waits until that recorder has told of some messages of the episode; their number."""
        told: dict[str, int] = {}  # episode -> messages
        note = lambda status: told.update({status.episode_id: status.messages})  # noqa: E731
        status = self.node.create_subscription(EpisodeStatus, f"{namespace}/recorder/status", note, LATCHED)
        try:
            wait_until(lambda: told.get(episode, 0) >= 30, "the recorder hears nothing")  # six come at a time
        finally:  # on the thread that serves it, which another one's destroying might end
            self.executor.create_task(self.node.destroy_subscription, status)
        return told[episode]

    def start(self, **fields):
        return self.call(StartEpisode, "/world4rl/start_episode", StartEpisode.Request(**fields))

    def stop(self, outcome, **fields):
        return self.call(StopEpisode, "/world4rl/stop_episode", StopEpisode.Request(outcome=outcome, **fields))

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join(5)
        self.node.destroy_node()


@contextmanager
def running_robot() -> Iterator[Robot]:
    rclpy.init()
    robot = Robot()
    try:
        yield robot
    finally:
        robot.close()
        rclpy.shutdown()


def wait_until(true, otherwise: str, timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def change_state(robot: Robot, transition: int, node: str = "/world4rl/recorder") -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return robot.call(ChangeState, f"{node}/change_state", request, 30.0).success


def start_on_second(robot, namespace: str = "/second"):
    started = robot.call(StartEpisode, f"{namespace}/start_episode", StartEpisode.Request(task="press"), 30.0)
    assert started.success, started.message
    return started


def start_second_recorder(
    bags: Path,
    *more: str,
    program: tuple[str, ...] = RECORDER,
    log: Path | None = None,
    namespace: str = "/second",
) -> subprocess.Popen:
    words = ["contract:=franka_sim_push", f"bags_dir:={bags}", "autostart:=true", "min_free_mb:=1.0", *more]
    options = [option for word in words for option in ("-p", word)]
    command = [sys.executable, *program, "--ros-args", "-r", f"__ns:={namespace}", *options]
    if log is None:
        return subprocess.Popen(command)
    with log.open("w") as file:
        return subprocess.Popen(command, stderr=file)

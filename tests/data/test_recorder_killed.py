"""SIGKILL at any moment costs at most the last second, and nothing that was finished before."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from world4rl_data.bag_reader import EpisodeBag, find_bags, find_partial
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.recover import find_damaged, recover_bag
from world4rl_interfaces.msg import Action

pytestmark = [pytest.mark.ros, pytest.mark.slow]

CONTRACT = TaskContract.load("franka_sim_push")
KILLS = 20
AHEAD = 4
FLUSH_S = 0.2  # the recorder's default is 1 s; shorter here, so that short episodes show what is lost
ANSWER_S = 5.0  # a service that is up answers sooner
SLACK_S = 0.5  # on a loaded machine a flush comes late


def serve(number: int, bags: Path) -> None:
    """A recorder in a process forked from one that has imported everything: it is up in a fraction of a second."""
    from world4rl_data.recorder_node import main

    words = [f"__ns:=/r{number}"]
    parameters = [f"bags_dir:={bags}", "contract:=franka_sim_push", "autostart:=true", f"flush_s:={FLUSH_S}"]
    parameters += ["min_free_mb:=1.0", "start_timeout_s:=20.0", "silence_s:=5.0", "task:=press"]
    options = [o for w in words for o in ("-r", w)] + [o for w in parameters for o in ("-p", w)]
    main(["recorder", "--ros-args", *options])


class Robot:
    """Publishes the contract's topics 100 times a second; what it sends bears its time of sending."""

    def __init__(self) -> None:
        self.node = Node("robot")
        pose, fingers = (stream.topic for stream in CONTRACT.proprioception)
        self.publishers = [
            (self.node.create_publisher(PoseStamped, pose, 10), PoseStamped()),
            (self.node.create_publisher(JointState, fingers, 10), JointState(position=[0.01, 0.01])),
        ]
        for stream in CONTRACT.images:
            image = Image(height=8, width=8, encoding="rgb8", step=24, data=bytes(192))
            self.publishers.append((self.node.create_publisher(Image, stream.topic, 10), image))
        self.executed = self.node.create_publisher(Action, CONTRACT.executed_action_topic, 10)
        self.clients: dict[str, Any] = {}
        self.node.create_timer(0.01, self.tick)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def tick(self) -> None:
        stamp = self.node.get_clock().now().to_msg()
        for publisher, message in self.publishers:
            message.header.stamp = stamp
            publisher.publish(bytes(serialize_message(message)))

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def trigger(self, name: str, done: str) -> None:
        """Call a service until it has done what it is for, or says so in the words `done`.

        DDS matches each of a service's two topics by itself: a request may be served before the way back is found, and
        its answer is lost then, the sooner the more recorders come and go. So what is not answered is asked again.
        """
        client = self.client(name)
        deadline = time.monotonic() + 30
        while not client.service_is_ready():
            assert time.monotonic() < deadline, f"{name} did not come up"
            self.spin(0.02)
        answer = None
        while answer is None:
            assert time.monotonic() < deadline, f"{name} did not answer"
            future, patience = client.call_async(Trigger.Request()), time.monotonic() + ANSWER_S
            while not future.done() and time.monotonic() < patience:
                self.spin(0.01)
            answer = future.result() if future.done() else None
        assert answer.success or done in answer.message, answer.message

    def client(self, name: str) -> Any:
        """Made early, so that it has found its service when it is wanted."""
        if name not in self.clients:
            self.clients[name] = self.node.create_client(Trigger, name)
        return self.clients[name]


@pytest.fixture
def robot(ros_domain):
    rclpy.init()
    robot = Robot()
    yield robot
    robot.executor.shutdown()
    robot.node.destroy_node()
    rclpy.shutdown()


def content(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_twenty_kills_cost_at_most_the_last_moment_and_no_finished_episode(robot, tmp_path):
    moments = random.Random(5)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["world4rl_data.recorder_node", "world4rl_interfaces.msg", "sensor_msgs.msg"])
    finished: dict[Path, dict[str, bytes]] = {}
    recorders: list[Any] = []
    for kill in range(KILLS):
        while len(recorders) < min(KILLS, kill + AHEAD):  # the next ones come up while this one records
            recorders.append(processes.Process(target=serve, args=(len(recorders), tmp_path), daemon=True))
            recorders[-1].start()
            robot.client(f"/r{len(recorders) - 1}/recorder/start")
        recorder = recorders[kill]
        if kill % 4 == 0:
            robot.trigger(f"/r{kill}/recorder/start", done="is being recorded")
            robot.spin(0.1)
            robot.trigger(f"/r{kill}/recorder/stop_success", done="no episode is being recorded")
            (done,) = [bag for bag in find_bags(tmp_path) if bag not in finished]
            finished[done] = content(done)
        robot.trigger(f"/r{kill}/recorder/start", done="is being recorded")
        began = time.time()
        robot.spin(moments.uniform(0.0, 1.0))
        assert recorder.pid is not None
        os.kill(recorder.pid, signal.SIGKILL)
        killed = time.time()
        recorder.join(10)
        recovered = check_recovered(tmp_path, began, killed)
        finished[recovered] = content(recovered)
    assert {bag: content(bag) for bag in finished} == finished
    assert set(find_bags(tmp_path)) == set(finished) and len(finished) == KILLS + KILLS // 4


def check_recovered(folder: Path, began: float, killed: float) -> Path:
    (partial,) = find_damaged(folder)
    assert find_partial(folder) == [partial]
    report = recover_bag(partial)
    with EpisodeBag(report.path) as bag:
        assert (bag.record.task, bag.record.outcome) == ("press", Outcome.INTERRUPTED)
        times: dict[str, list[float]] = {topic: [] for topic in CONTRACT.observation_topics}
        for topic, _, log_ns, _ in bag.raw_messages(times):
            times[topic].append(log_ns / 1e9)
    if killed - began < FLUSH_S + SLACK_S:
        return report.path  # all of it may have been in the last moment
    for topic, all_times in times.items():
        # Before: what was known at the start, however long the robot had been silent while the last bag was checked.
        seen = [at for at in all_times if at >= began]
        assert seen, f"{topic}: nothing is left of {killed - began:.2f} s"
        assert killed - seen[-1] < FLUSH_S + SLACK_S, f"{topic} ends {killed - seen[-1]:.2f} s before the kill"
        assert seen[0] - began < SLACK_S, f"{topic} begins {seen[0] - began:.2f} s late"
        steps = [b - a for a, b in itertools.pairwise(seen)]
        assert max(steps) < SLACK_S, f"{topic} has a hole of {max(steps):.2f} s"
    return report.path

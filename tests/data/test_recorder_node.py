"""The recorder node over DDS: what a driver publishes is in the bag, and refusals name what is wrong."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from world4rl_data.bag_reader import EpisodeBag
from world4rl_data.contract import TaskContract
from world4rl_data.convert import bag_to_episode
from world4rl_data.episode import Outcome
from world4rl_data.validate import validate_bag
from world4rl_interfaces.msg import Action, EpisodeStatus
from world4rl_interfaces.srv import StartEpisode, StopEpisode

pytestmark = pytest.mark.ros

PRESS = TaskContract.load("franka_sim_push")
RECORDER = ("-m", "world4rl_data.recorder_node")
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
SILENCE_S = 0.6
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

    def start(self, **fields):
        return self.call(StartEpisode, "/world4rl/start_episode", StartEpisode.Request(**fields))

    def stop(self, outcome, **fields):
        return self.call(StopEpisode, "/world4rl/stop_episode", StopEpisode.Request(outcome=outcome, **fields))

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join(5)
        self.node.destroy_node()


@pytest.fixture(scope="module")
def robot(ros_domain):
    rclpy.init()
    fake = Robot()
    yield fake
    fake.close()
    rclpy.shutdown()


def wait_until(true, otherwise: str, timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def start_recorder(robot: Robot, bags: Path) -> subprocess.Popen:
    parameters = {
        "contract": "franka_sim_push",
        "bags_dir": bags,
        "extra_topics": '["/label"]',
        "min_free_mb": 1.0,
        "silence_s": SILENCE_S,
        "start_timeout_s": 2.0,
    }
    options = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    command = [sys.executable, *RECORDER, "--ros-args", "-r", "__ns:=/world4rl", *options]
    process = subprocess.Popen(command)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change_state(robot, transition)
    return process


def change_state(robot: Robot, transition: int, node: str = "/world4rl/recorder") -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return robot.call(ChangeState, f"{node}/change_state", request, 30.0).success


@pytest.fixture(scope="module")
def bags(robot, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    process = start_recorder(robot, folder)
    yield folder
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_recorded_episode_holds_what_was_published(robot, bags):
    started = robot.start(task="press", operator_id="ann", note="seed=4")
    assert started.success, started.message
    count = len(robot.sent)
    wait_until(lambda: len(robot.sent) >= count + 9, "the robot does not speak")
    stopped = robot.stop(Outcome.SUCCESS, note="fine")
    assert stopped.success and stopped.uri == started.uri, stopped.message
    path = Path(stopped.uri)
    assert path.parent == bags and not list(bags.glob("*.partial"))

    episode = bag_to_episode(path, PRESS)
    assert episode.source == "expert" and episode.seed == 4
    assert episode.outcome == Outcome.SUCCESS and episode.success_index is not None
    known = [t for t, stamp in enumerate(episode.stamps[:-1]) if int(stamp) in robot.sent]
    assert len(known) >= 7, "the others are holds, where a busy machine kept the robot from acting in time"
    for t in known:
        sent = robot.sent[int(episode.stamps[t])]
        np.testing.assert_array_equal(episode.images["front"][t], sent["front"])
        np.testing.assert_array_equal(episode.actions[t], sent["action"])  # executed, not the wish (all ones)
        assert episode.proprio[t, 0] == np.float32(sent["x"])
    assert [f for f in validate_bag(path, PRESS) if "was silent for" not in f.text] == []  # silent as for the holds
    with EpisodeBag(path) as bag:
        assert bag.record.operator_id == "ann" and bag.record.stop_note == "fine"
        assert bag.topics[PRESS.action_topic][1] >= 7
        words = [m.data for _, _, m in bag.messages(["/label"])]
        assert words == ["a latched word"]  # also what was published before the recorder came
        sent = [sent_ns for _, _, sent_ns, _ in bag.sent_messages([PRESS.images[0].topic])]
        assert 0 not in sent[1:]  # by this it is told what an action could be decided on (the first was known before)
    metadata = (path / "metadata.yaml").read_text()
    assert "RIHS01_" in metadata or "humble" in metadata
    wait_until(lambda: robot.status[-1].outcome == Outcome.SUCCESS, "the status does not tell the outcome")
    assert not robot.status[-1].recording


def test_second_start_and_stop_without_start_are_refused(robot, bags):
    refused = robot.stop(Outcome.SUCCESS)
    assert not refused.success and "start_episode" in refused.message
    assert robot.start(task="a").success
    again = robot.start(task="b")
    assert not again.success and "is being recorded" in again.message
    unknown = robot.stop(99)
    assert not unknown.success and "outcome 99" in unknown.message
    assert robot.stop(Outcome.FAILURE).success  # and the running episode is none the worse


def test_status_comes_once_a_second_also_while_nothing_is_recorded(robot, bags):
    """That a bag could not be closed comes out after its episode has ended."""
    robot.status.clear()
    wait_until(lambda: len(robot.status) > 2, "the status is not repeated")
    assert not any(s.recording for s in robot.status)


def test_discarded_episode_is_marked(robot, bags):
    started = robot.start(task="press")
    answer = robot.call(Trigger, "/world4rl/discard_episode", Trigger.Request())
    assert answer.success, answer.message
    trash = bags / ".trash" / Path(started.uri).name
    assert json.loads((trash / "episode.json").read_text())["outcome"] == Outcome.DISCARDED
    assert not Path(started.uri).exists()


def test_buttons_start_and_label_episodes_of_the_task_that_the_parameter_names(robot, bags):
    """What Foxglove and a joystick call: no arguments."""
    client = AsyncParameterClient(robot.node, "/world4rl/recorder")
    assert client.wait_for_services(15.0)
    future = client.set_parameters([Parameter("task", value="wipe")])
    wait_until(future.done, "set_parameters did not answer")
    for button, outcome in (("stop_success", Outcome.SUCCESS), ("stop_failure", Outcome.FAILURE)):
        started = robot.button("start")
        assert started.success and "recording wipe_" in started.message, started.message
        assert not robot.button("start").success  # pressed twice
        stopped = robot.button(button)
        assert stopped.success and outcome.name in stopped.message
        wait_until(lambda o=outcome: robot.status[-1].outcome == o, "the status does not tell the outcome")
        bag = next(bags.glob(f"{robot.status[-1].episode_id}/episode.json"))
        assert json.loads(bag.read_text())["task"] == "wipe"
    assert robot.button("start").success and robot.button("discard").success
    wait_until(lambda: robot.status[-1].outcome == Outcome.DISCARDED, "the status does not tell the outcome")
    assert (bags / ".trash" / robot.status[-1].episode_id).is_dir()
    assert not robot.button("discard").success


def test_every_latched_publishers_word_is_in_every_episode(robot, bags):
    """As with /tf_static: several nodes latch their part on one topic, long before an episode begins."""
    other = robot.node.create_publisher(String, "/label", LATCHED)
    both = {"a latched word", "the other's word"}

    def recorded() -> list[tuple[int, str]]:
        """The words of one more episode, and how long after its start [ns] they stand in its bag."""
        started = robot.start(task="press")
        assert started.success, started.message
        assert robot.stop(Outcome.SUCCESS).success
        with EpisodeBag(started.uri) as bag:
            return [(log_ns - bag.record.start_ns, m.data) for _, log_ns, m in bag.messages(["/label"])]

    try:
        other.publish(String(data="the other's word"))
        wait_until(lambda: {word for _, word in recorded()} == both, "the recorder never heard the other's word")
        found = recorded()
        assert {word for _, word in found} == both and all(since_ns >= 0 for since_ns, _ in found)
    finally:
        robot.node.destroy_publisher(other)


def test_mixed_quality_of_service_is_recorded_from_all_and_reported_by_name(robot, bags):
    volatile = robot.node.create_publisher(String, "/label", 1)
    try:
        wait_until(lambda: any("/label" in w for w in robot.warnings), "no diagnostics name the topic")
        # the new subscription is the first that fits this publisher, and the other one hears of it at the same moment
        wait_until(lambda: volatile.get_subscription_count() > 0, "the recorder does not subscribe anew")
        assert robot.start(task="press").success
        volatile.publish(String(data="not latched"))
        robot.label.publish(String(data="latched, but sent now"))
        robot.status.clear()
        wait_until(lambda: len(robot.status) > 1, "the status is not repeated")  # a second for both to arrive
        stopped = robot.stop(Outcome.SUCCESS)
        assert "what was latched before is not recorded" in robot.status[-1].message
        with EpisodeBag(stopped.uri) as bag:
            words = [m.data for _, _, m in bag.messages(["/label"])]
        assert {"not latched", "latched, but sent now"} <= set(words)
    finally:
        robot.node.destroy_publisher(volatile)
        robot.label.publish(String(data="a latched word"))
        robot.warnings.clear()
        wait_until(lambda: robot.healthy > 1, "the note stays after its cause has gone")


def test_silent_camera_is_named_and_nothing_is_left_behind(robot, bags):
    before = set(bags.iterdir())
    robot.silent.add("wrist")
    try:
        time.sleep(
            3 * SILENCE_S
        )  # nobody is told of silence while nothing is recorded, and the last picture may be late
        refused = robot.start(task="press")
    finally:
        robot.silent.clear()
    assert not refused.success and "/wrist_camera/camera/color/image_raw" in refused.message
    assert "/camera/camera/color/image_raw " not in refused.message
    assert set(bags.iterdir()) == before
    assert robot.start(task="press").success  # and the next good call works
    assert robot.stop(Outcome.UNLABELLED).success


def test_a_camera_that_dies_while_recording_is_told_at_once_and_at_the_stop(robot, bags):
    """A person who drives the arm is held by nothing, so status, diagnostics and answer have to say it."""
    topic, silent = PRESS.images[1].topic, "wrist_camera.* has a publisher, but no message came for"
    logged: list[str] = []
    log = robot.node.create_subscription(Log, "/rosout", lambda line: logged.append(line.msg), 100)
    assert robot.start(task="press").success
    robot.warnings.clear()
    robot.silent.add("wrist")
    try:
        wait_until(
            lambda: len([w for w in robot.warnings if re.search(silent, w)]) > 2, "the diagnostics do not name it"
        )
        assert re.search(silent, robot.status[-1].message) and robot.status[-1].recording
        assert len([line for line in logged if re.search(f"while recording: .*{silent}", line)]) == 1
        robot.silent.clear()
        wait_until(lambda: not robot.status[-1].message, "the note stays after the camera came back")
        wait_until(lambda: f"{topic} is there again" in logged, "the log does not tell that it came back")
        robot.silent.add("wrist")
        wait_until(lambda: re.search(silent, robot.status[-1].message), "the status does not name it")
        stopped = robot.stop(Outcome.FAILURE)
    finally:
        robot.silent.clear()
        robot.node.destroy_subscription(log)
    assert stopped.success and "dataset validate" in stopped.message and f"at the stop {topic} has a" in stopped.message
    wait_until(lambda: not robot.status[-1].message, "what is silent is of no interest while nothing is recorded")


def test_deactivation_closes_the_episode_and_activation_records_again(robot, bags):
    started = robot.start(task="press")
    assert started.success, started.message
    assert change_state(robot, Transition.TRANSITION_DEACTIVATE)
    with EpisodeBag(started.uri) as bag:
        assert bag.record.outcome == Outcome.INTERRUPTED
    refused = robot.start(task="press")
    assert not refused.success and "not active" in refused.message
    assert change_state(robot, Transition.TRANSITION_ACTIVATE)
    assert robot.start(task="press").success
    assert robot.stop(Outcome.FAILURE).success


def test_deactivation_ends_a_start_that_waits_for_topics(robot, tmp_path):
    """Its own recorder, whose log tells that the start has come, and what it waits for: one that comes later is refused
    with the same words."""
    log, folder = tmp_path / "log", tmp_path / "bags"
    robot.silent.add("wrist")
    process = start_second_recorder(folder, "start_timeout_s:=30.0", log=log)
    try:
        waiting = robot.ask(StartEpisode, "/second/start_episode", StartEpisode.Request(task="press"), 30.0)
        wait_until(lambda: "the start of an episode waits: " in log.read_text(), "the start does not wait")
        assert change_state(robot, Transition.TRANSITION_DEACTIVATE, "/second/recorder")
        refused = robot.answer(waiting)
    finally:
        robot.silent.clear()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert not refused.success and "not active" in refused.message
    assert list(folder.glob("*")) == [], "no bag was begun"
    (line,) = [line for line in log.read_text().splitlines() if "waits: " in line]
    assert "wrist" in line, "told once, with the topic"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_closes_the_running_episode_as_interrupted(robot, tmp_path, number):
    """Its own recorder, so that the one of the other tests stays. What it has told of is in the bag."""
    told: dict[str, int] = {}  # episode -> messages
    status = robot.node.create_subscription(
        EpisodeStatus, "/second/recorder/status", lambda s: told.update({s.episode_id: s.messages}), LATCHED
    )
    process = start_second_recorder(tmp_path)
    try:
        started = start_on_second(robot)
        wait_until(lambda: told.get(started.episode_id, 0) >= 30, "the recorder hears nothing")  # six come at a time
        process.send_signal(number)
        assert process.wait(30) == 0
    finally:
        robot.node.destroy_subscription(status)
        if process.poll() is None:
            process.kill()
    with EpisodeBag(started.uri) as bag:
        assert bag.record.outcome == Outcome.INTERRUPTED
        assert bag.topics[PRESS.executed_action_topic][1] >= 2
        assert sum(count for _, count in bag.topics.values()) >= told[started.episode_id]


STOPPING, CLOSING = " ends as SUCCESS: ", "the disk is slow"
SLOW_DISK = """
import sys, time
from pathlib import Path
from world4rl_data import bag_writer, recorder_node

def close_late(*args):
    print({closing!r}, file=sys.stderr, flush=True)
    while not Path({free!r}).exists():
        time.sleep(0.01)
    return close(*args)

close, bag_writer.BagWriter.close = bag_writer.BagWriter.close, close_late
recorder_node.main()
"""


@pytest.fixture
def slow(robot, tmp_path):
    """Starts a second recorder, which closes no bag before `slow.free`."""
    recorder = SlowRecorder(tmp_path)
    yield recorder
    if recorder.process is not None and recorder.process.poll() is None:
        recorder.process.kill()


class SlowRecorder:
    def __init__(self, folder: Path) -> None:
        self.bags, self.log, self._free = folder / "bags", folder / "log", folder / "free"
        self.process: subprocess.Popen | None = None

    def start(self, grace_s: float) -> None:
        program = ("-c", SLOW_DISK.format(closing=CLOSING, free=str(self._free)))
        self.process = start_second_recorder(self.bags, f"stop_grace_s:={grace_s}", program=program, log=self.log)

    def signals(self, *numbers: int) -> None:
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(0.05)  # else two of a kind may be one

    def says(self, words: str) -> None:
        wait_until(lambda: words in self.log.read_text(), f"the recorder does not say '{words}'")

    def ends_well(self) -> None:
        """Once the disk lets it, and not before."""
        self.says(CLOSING)
        time.sleep(0.5)
        assert self.process.poll() is None
        self._free.touch()
        assert self.process.wait(30) == 0


@pytest.mark.parametrize(("grace_s", "when"), [(8.0, STOPPING), (0.0, CLOSING)], ids=["last messages", "closing"])
def test_signal_while_an_episode_is_stopped_leaves_it_its_label(robot, slow, grace_s, when):
    slow.start(grace_s)
    started = start_on_second(robot)
    robot.ask(StopEpisode, "/second/stop_episode", StopEpisode.Request(outcome=Outcome.SUCCESS, note="fine"))
    slow.says(when)
    slow.signals(signal.SIGINT)
    slow.ends_well()
    with EpisodeBag(started.uri) as bag:
        assert (bag.record.outcome, bag.record.stop_note) == (Outcome.SUCCESS, "fine")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.INTERRUPTED])
def test_further_signals_do_not_break_off_the_closing_of_the_bag(robot, slow, first, outcome):
    """An impatient second Ctrl-C, or a starter that sends it to the whole group and to each node once more."""
    slow.start(0.0)
    started = start_on_second(robot)
    if outcome == Outcome.SUCCESS:
        robot.ask(StopEpisode, "/second/stop_episode", StopEpisode.Request(outcome=outcome))
        slow.says(CLOSING)
    slow.signals(first, signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    slow.says(CLOSING)
    slow.signals(signal.SIGINT, signal.SIGTERM)
    slow.ends_well()
    with EpisodeBag(started.uri) as bag:
        assert bag.record.outcome == outcome


def test_deactivation_while_an_episode_is_stopped_leaves_it_its_label(robot, tmp_path):
    log = tmp_path / "log"
    process = start_second_recorder(tmp_path / "bags", "stop_grace_s:=4.0", log=log)
    try:
        started = start_on_second(robot)
        asked = robot.ask(StopEpisode, "/second/stop_episode", StopEpisode.Request(outcome=Outcome.FAILURE))
        wait_until(lambda: f"{started.episode_id} ends as FAILURE" in log.read_text(), "the stop does not begin")
        assert change_state(robot, Transition.TRANSITION_DEACTIVATE, "/second/recorder")
        stopped = robot.answer(asked)
        assert stopped.success and "FAILURE" in stopped.message
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    with EpisodeBag(stopped.uri) as bag:
        assert bag.record.outcome == Outcome.FAILURE


def start_on_second(robot):
    started = robot.call(StartEpisode, "/second/start_episode", StartEpisode.Request(task="press"), 30.0)
    assert started.success, started.message
    return started


def start_second_recorder(
    bags: Path, *more: str, program: tuple[str, ...] = RECORDER, log: Path | None = None
) -> subprocess.Popen:
    words = ["contract:=franka_sim_push", f"bags_dir:={bags}", "autostart:=true", "min_free_mb:=1.0", *more]
    options = [option for word in words for option in ("-p", word)]
    command = [sys.executable, *program, "--ros-args", "-r", "__ns:=/second", *options]
    if log is None:
        return subprocess.Popen(command)
    with log.open("w") as file:
        return subprocess.Popen(command, stderr=file)


def test_a_camera_of_another_size_than_the_contracts_is_refused_before_an_episode_begins(robot, tmp_path):
    """The crop would show the networks another part of the view, and nobody would notice."""
    front = dataclasses.replace(PRESS.images[0], camera=(640, 480))
    dataclasses.replace(PRESS, images=(front, PRESS.images[1])).save(tmp_path / "mine.yaml")
    process = start_second_recorder(tmp_path / "bags", f"contract:={tmp_path / 'mine.yaml'}")
    try:
        refused = robot.call(StartEpisode, "/second/start_episode", StartEpisode.Request(task="press"), 30.0)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert not refused.success
    assert f"{front.topic}: stream 'front': the picture is 32x32" in refused.message and "640x480" in refused.message
    assert not list(tmp_path.glob("bags/*"))


def test_simulated_time_is_waited_for_and_then_stamps_the_bag(robot, tmp_path):
    process = start_second_recorder(tmp_path, "use_sim_time:=true", "start_timeout_s:=10.0")
    try:
        refused = robot.call(StartEpisode, "/second/start_episode", StartEpisode.Request(), 30.0)
        assert not refused.success and "/clock" in refused.message
        clock = robot.node.create_publisher(Clock, "/clock", 1)
        deadline = time.monotonic() + 10
        while not refused.success and time.monotonic() < deadline:
            clock.publish(Clock(clock=Time(sec=77)))
            time.sleep(0.05)
            refused = robot.call(StartEpisode, "/second/start_episode", StartEpisode.Request())
        assert refused.success, refused.message
        stopped = robot.call(StopEpisode, "/second/stop_episode", StopEpisode.Request(outcome=Outcome.FAILURE))
        assert stopped.success, stopped.message
        robot.node.destroy_publisher(clock)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    with EpisodeBag(stopped.uri) as bag:
        assert bag.record.start_ns == bag.record.stop_ns == 77 * 10**9

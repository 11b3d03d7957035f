"""The recorder node over DDS: what a driver publishes is in the bag, and refusals name what is wrong."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from recorder_rig import (
    LATCHED,
    PRESS,
    RECORDER,
    Robot,
    change_state,
    running_robot,
    start_second_recorder,
    wait_until,
)
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from world4rl_data.bag_reader import EpisodeBag
from world4rl_data.convert import bag_to_episode
from world4rl_data.episode import Outcome
from world4rl_data.validate import validate_bag
from world4rl_interfaces.srv import StartEpisode, StopEpisode

pytestmark = pytest.mark.ros
SILENCE_S = 0.6


@pytest.fixture(scope="module")
def robot(ros_domain):
    with running_robot() as robot:
        yield robot


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


def test_a_stop_asked_again_is_refused_with_the_folder_of_what_it_has_saved(robot, bags):
    started = robot.start(task="press")
    assert robot.stop(Outcome.FAILURE).success
    again = robot.stop(Outcome.FAILURE)
    assert not again.success and again.uri == started.uri and "ended as FAILURE" in again.message
    other = robot.stop(Outcome.SUCCESS)
    assert not other.success and other.uri == "", "nothing was saved as a success"
    later = robot.start(task="press")
    assert robot.stop(Outcome.SUCCESS).success
    assert robot.stop(Outcome.FAILURE).uri == "", "not the one before the last"
    assert robot.stop(Outcome.SUCCESS).uri == later.uri


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
        # nobody is told of silence while nothing is recorded, and the last picture may be late
        time.sleep(3 * SILENCE_S)
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

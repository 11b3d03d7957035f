"""The recorder node over DDS, ended by a signal or a deactivation: the episode keeps what it has and its label."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from recorder_rig import (
    PRESS,
    change_state,
    running_robot,
    start_on_second,
    start_second_recorder,
    wait_until,
)

from world4rl_data.bag_reader import EpisodeBag
from world4rl_data.episode import Outcome
from world4rl_data.recover import recover_bag
from world4rl_interfaces.srv import StartEpisode, StopEpisode

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def robot(ros_domain):
    with running_robot() as robot:
        yield robot


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
    process = start_second_recorder(tmp_path)
    try:
        started = start_on_second(robot)
        told = robot.messages_told(started.episode_id)
        process.send_signal(number)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
    with EpisodeBag(started.uri) as bag:
        assert bag.record.outcome == Outcome.INTERRUPTED
        assert bag.topics[PRESS.executed_action_topic][1] >= 2
        assert sum(count for _, count in bag.topics.values()) >= told


STOPPING, CLOSING = " ends as SUCCESS: ", "the disk is slow"
SLOW_DISK = """
import sys, time
from pathlib import Path
import mcap.writer
from world4rl_data import recorder_node

def close_late(*args):
    print({closing!r}, file=sys.stderr, flush=True)
    while not Path({free!r}).exists():
        time.sleep(0.01)
    return close(*args)

close, mcap.writer.Writer.finish = mcap.writer.Writer.finish, close_late
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

    def start(self, grace_s: float, namespace: str = "/second") -> None:
        program = ("-c", SLOW_DISK.format(closing=CLOSING, free=str(self._free)))
        grace = f"stop_grace_s:={grace_s}"
        self.process = start_second_recorder(self.bags, grace, program=program, log=self.log, namespace=namespace)

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


def test_a_recorder_killed_while_it_closes_a_bag_costs_neither_the_label_nor_a_message(robot, slow):
    """Whoever started it was more impatient than the disk was quick. In a namespace of its own: the services of a
    killed node stay on the graph for a while, and would take the next test's calls."""
    slow.start(0.0, "/killed")
    started = start_on_second(robot, "/killed")
    told = robot.messages_told(started.episode_id, "/killed")
    robot.ask(StopEpisode, "/killed/stop_episode", StopEpisode.Request(outcome=Outcome.SUCCESS, note="fine"))
    slow.says(CLOSING)
    slow.signals(signal.SIGINT, signal.SIGKILL)
    assert slow.process.wait(30) == -signal.SIGKILL
    report = recover_bag(Path(f"{started.uri}.partial"))
    assert report.messages >= told and report.lost_messages == 0
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

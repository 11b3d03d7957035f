"""A node that is told to end in the middle of a callback ends quietly; a fault before that is seen."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from world4rl_data.spin_node import spin_until_shutdown, spin_until_told, until_shutdown

pytestmark = pytest.mark.ros


@pytest.fixture
def context(ros_domain):
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


@pytest.mark.parametrize("end", [KeyboardInterrupt, ExternalShutdownException])
def test_the_ways_ros_is_told_to_end_are_quiet(context, end):
    with until_shutdown(context):
        raise end


def test_a_callback_that_uses_ros_after_its_end_is_quiet(context):
    node = rclpy.create_node("busy", context=context)
    context.shutdown()
    with pytest.raises(RuntimeError, match=r"context is invalid|destruction"):
        node.get_publishers_info_by_topic("/gone")  # what a timer of the recorder does when SIGTERM comes
    with until_shutdown(context):
        node.get_publishers_info_by_topic("/gone")


def test_a_fault_while_ros_is_there_is_raised(context):
    with pytest.raises(RuntimeError, match="real fault"), until_shutdown(context):
        raise RuntimeError("real fault")


def test_a_node_is_served_by_the_calling_thread_alone(ros_domain):
    """What the gate rests on, which holds no locks, though some of its callbacks may overlap as far as ROS goes."""
    served_by = []

    class Busy(Node):
        def __init__(self):
            super().__init__("busy")
            for _ in range(3):
                self.create_timer(0.01, self._work, callback_group=ReentrantCallbackGroup())

        def _work(self):
            served_by.append(threading.get_ident())
            time.sleep(0.02)
            if len(served_by) > 20:
                raise KeyboardInterrupt

    spin_until_shutdown("busy", Busy, [])
    assert set(served_by) == {threading.get_ident()}


def test_a_node_whose_callback_fails_has_its_last_words(ros_domain, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # pytest keeps its own
    said = []

    class Failing(Node):
        def __init__(self):
            super().__init__("failing")
            self.create_timer(0.01, self._work)

        def _work(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spin_until_told("failing", Failing, lambda node: said.append(node.get_topic_names_and_types()), [])
    assert said, "ROS still worked"


def test_a_node_that_hangs_ends_when_it_is_told_twice_and_still_has_its_last_words(ros_domain):
    said, own = [], {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    class Hanging(Node):
        def __init__(self):
            super().__init__("hanging")
            self.create_timer(0.01, self._work)

        def _work(self):
            for seconds in (0.0, 0.1, 1.5):  # a runner and the terminal tell at once; that alone does not end it
                threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
            while True:
                time.sleep(0.01)

    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            spin_until_told("hanging", Hanging, lambda node: said.append(node.get_topic_names_and_types()), [])
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)
    assert said and time.monotonic() - started > 1.4

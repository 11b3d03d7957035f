"""A node that is told to end in the middle of a callback ends quietly; a fault before that is seen."""

from __future__ import annotations

import pytest
import rclpy
from rclpy.executors import ExternalShutdownException

from world4rl_data.spin_node import until_shutdown

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

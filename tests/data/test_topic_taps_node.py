"""The recorder's subscriptions to topics that others chose the type of."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.qos import QoSProfile

from world4rl_data.tap import Tap
from world4rl_data.topic_taps_node import TopicTaps

pytestmark = pytest.mark.ros


class Graph:
    """A node that sees one publisher on every topic, of a given type."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.warnings: list[str] = []

    def get_publishers_info_by_topic(self, name: str) -> list[SimpleNamespace]:
        qos = QoSProfile(depth=1)
        return [SimpleNamespace(topic_type=self.kind, qos_profile=qos, node_namespace="/", node_name="plc")]

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(warning=lambda text, **_: self.warnings.append(text))


@pytest.mark.parametrize(
    "kind", ["Telemetry", "plc::Telemetry", "plc/Telemetry", "nowhere/msg/Telemetry", "std_msgs/msg/No"]
)
def test_a_type_that_is_not_known_here_is_named_and_the_recorder_goes_on(kind: str) -> None:
    """A DDS program that is no ROS node names its types as it likes."""
    graph = Graph(kind)
    taps = TopicTaps(graph, [Tap("/telemetry")], print, print)
    (tap,) = taps
    assert f"has type {kind}, which is not known here" in tap.trouble and tap.topic is None
    assert graph.warnings == [f"/telemetry {tap.trouble}"]
    taps.close()

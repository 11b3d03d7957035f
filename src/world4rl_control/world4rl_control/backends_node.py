"""Publishers of the backends' commands: the only place that speaks to the motion controller."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from world4rl_control.backend import Command, PoseCommand


class CommandPublisher:
    """One publisher on the controller's command topic."""

    def __init__(self, node: Node, topic: str, frame: str) -> None:
        self._node, self._frame = node, frame
        self._publisher = node.create_publisher(PoseStamped, topic, 1)

    @property
    def rivals(self) -> int:
        """How many others publish on the topic."""
        return self._node.count_publishers(self._publisher.topic_name) - 1

    @property
    def topic(self) -> str:
        return self._publisher.topic_name

    def send(self, command: Command) -> None:
        """Publish one command, stamped now."""
        assert isinstance(command, PoseCommand)
        target = PoseStamped()
        target.header.stamp, target.header.frame_id = self._node.get_clock().now().to_msg(), self._frame
        p, q = target.pose.position, target.pose.orientation
        p.x, p.y, p.z = (float(v) for v in command.position)
        q.x, q.y, q.z, q.w = (float(v) for v in command.quat)
        self._publisher.publish(target)

"""Waits for the messages that a node sends at its end: what has not gone out by then is lost."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.publisher import Publisher

RCLError = rclpy_implementation.RCLError


def await_acknowledged(node: Node, publisher: Publisher, seconds: float) -> bool:
    """Wait until everyone who hears a reliable publisher has said so, at most so many `seconds`; whether they have.

    True as well where the middleware cannot tell, which is logged: nothing is left to wait for then.
    """
    try:
        return bool(publisher.wait_for_all_acked(Duration(seconds=seconds)))
    except RCLError as error:  # all that is neither "acknowledged" nor "too late": some middlewares know neither
        why = f"this middleware does not tell whether the last message on {publisher.topic_name} has arrived"
        node.get_logger().warning(f"{why}: {error}")
        return True

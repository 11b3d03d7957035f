"""What the node `imagination` shows while it dreams: pictures, numbers and lines for people to watch."""

from __future__ import annotations

import math
import time
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Float32
from visualization_msgs.msg import MarkerArray

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.dream_stream import DreamStep
from world4rl_wm.imagination.imagined_path import ImaginedPaths, PathColours, position_columns
from world4rl_wm.model.frames import to_uint8
from world4rl_wm.ros.path_messages import path_markers
from world4rl_wm.ros.rollout_messages import image_message

PATH_EVERY_S = 0.1  # the whole path is sent each time


class DreamTopics:
    """Publishers of a running dream. Frames and numbers are those of the first sample; paths are those of all.

    Nothing is made that nobody listens to.
    """

    def __init__(self, node: Node, colours: PathColours, path_lifetime_s: float):
        self._node = node
        self._colours, self._lifetime_s = colours, path_lifetime_s
        self._frames = node.create_publisher(Image, "~/frames", 1)
        self._real = node.create_publisher(Image, "~/real", 1)
        self._success = node.create_publisher(Float32, "~/success_probability", 1)
        self._uncertainty = node.create_publisher(Float32, "~/uncertainty", 1)
        self._markers = node.create_publisher(MarkerArray, "~/markers", 1)
        self._paths: ImaginedPaths | None = None
        self._base_frame, self._sent_s = "", 0.0

    def start(self, dream: Dream) -> None:
        """Show the last real frame, and where the arm is."""
        if self._heard(self._real):
            self._real.publish(image_message(to_uint8(dream.context[0, -1]).cpu().numpy(), self._stamp()))
        contract = dream.world_model.contract
        columns = position_columns(contract)
        self._paths = None
        if columns is not None and self._heard(self._markers):
            self._paths = ImaginedPaths(columns, self._colours)
            self._paths.start(dream)
        self._base_frame = contract.base_frame
        self._sent_s = time.monotonic()

    def step(self, step: DreamStep) -> None:
        """Show a step."""
        if self._heard(self._frames):
            self._frames.publish(image_message(step.frames[0].cpu().numpy(), self._stamp()))
        if self._heard(self._uncertainty):
            self._uncertainty.publish(Float32(data=float(step.uncertainty[0])))
        if self._heard(self._success):
            probability = float(step.success_probability[0])
            if math.isfinite(probability):  # not a number: no reward model is loaded
                self._success.publish(Float32(data=probability))
        if self._paths is not None:
            self._paths.add(step)
            if time.monotonic() - self._sent_s >= PATH_EVERY_S:
                self._send_paths()

    def end(self) -> None:
        """Show the paths to their ends."""
        if self._paths is not None:
            self._send_paths()
            self._paths = None

    def _send_paths(self) -> None:
        assert self._paths is not None  # asked by the callers
        self._markers.publish(path_markers(self._paths, self._base_frame, self._lifetime_s, self._stamp()))
        self._sent_s = time.monotonic()

    def _stamp(self) -> Any:
        return self._node.get_clock().now().to_msg()

    def _heard(self, publisher: Any) -> bool:
        return publisher.get_subscription_count() > 0

"""Bags as the recorder writes them on a real arm: two cameras of 640x480 at 30 Hz, pose, fingers, actions at 10 Hz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from world4rl_data.bag_writer import BagTopic, BagWriter
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.episode_record import EpisodeRecord

ACTION_MSG = (Path(__file__).parents[2] / "src/world4rl_interfaces/msg/Action.msg").read_text()
CAMERA_HZ, HEIGHT, WIDTH = 30, 480, 640


class CameraBags:
    """Writes bags under one contract, with pictures that move and carry a camera's noise (zstd gains little)."""

    def __init__(self, contract: TaskContract, seed: int = 0) -> None:
        self.contract = contract
        self._rng = np.random.default_rng(seed)
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._types.register(get_types_from_msg(ACTION_MSG, "world4rl_interfaces/msg/Action"))

    def write(self, path: Path, steps: int) -> Path:
        """One closed bag of an episode of `steps` actions."""
        writer = BagWriter(path)
        for topic, stamp, message in sorted(self._messages(steps), key=lambda entry: entry[1]):
            kind = message.__msgtype__
            writer.add_topic(BagTopic(topic, kind, self._types.generate_msgdef(kind, ros_version=2)[0]))
            writer.write(topic, stamp + 5_000_000, bytes(self._types.serialize_cdr(message, kind)))
        contract = {"contract_hash": self.contract.hash, "contract": self.contract.to_dict()}
        return writer.close(EpisodeRecord(episode_id=path.name, task="press", outcome=Outcome.FAILURE, **contract))

    def _messages(self, steps: int) -> list[tuple[str, int, Any]]:
        begin, period, found = 10**15, round(1e9 / self.contract.control_rate_hz), []
        pose, fingers = self.contract.proprioception
        for frame in range(round((steps + 1) * CAMERA_HZ / self.contract.control_rate_hz)):
            stamp = begin + round(frame * 1e9 / CAMERA_HZ)
            found += [(stream.topic, stamp, self._image(stamp, frame)) for stream in self.contract.images]
            point = self._make("geometry_msgs/msg/Point", *self._rng.normal(size=3))
            turn = self._make("geometry_msgs/msg/Quaternion", 1.0, 0.0, 0.0, 0.0)
            placed = self._make("geometry_msgs/msg/Pose", point, turn)
            found.append((pose.topic, stamp, self._make("geometry_msgs/msg/PoseStamped", self._header(stamp), placed)))
            joints = (["left", "right"], np.full(2, 0.02), np.zeros(2), np.zeros(2))
            found.append((fingers.topic, stamp, self._make("sensor_msgs/msg/JointState", self._header(stamp), *joints)))
        for step in range(steps):
            stamp = begin + step * period + 20_000_000
            values = self._rng.uniform(-1, 1, self.contract.action_dim).astype(np.float32)
            action = self._make("world4rl_interfaces/msg/Action", self._header(stamp), values, 2, "")
            found.append((self.contract.executed_action_topic, stamp, action))
        return found

    def _image(self, stamp: int, frame: int) -> Any:
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        smooth = 128 + 80 * np.sin((x + y) / 60 + frame / 9)
        pixels = smooth[..., None] + self._rng.integers(-3, 4, (HEIGHT, WIDTH, 3))
        data = pixels.astype(np.uint8).reshape(-1)
        header = self._header(stamp)
        return self._make("sensor_msgs/msg/Image", header, HEIGHT, WIDTH, "rgb8", 0, WIDTH * 3, data)

    def _header(self, stamp: int) -> Any:
        time = self._make("builtin_interfaces/msg/Time", stamp // 10**9, stamp % 10**9)
        return self._make("std_msgs/msg/Header", time, "fr3_link0")

    def _make(self, kind: str, *values: Any) -> Any:
        return self._types.types[kind](*values)

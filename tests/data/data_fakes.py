"""A short pretended episode as serialized messages and as bags, made without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from world4rl_data.bag_writer import BagTopic, BagWriter
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.episode_record import EpisodeRecord

ACTION_MSG = (Path(__file__).parents[2] / "src/world4rl_interfaces/msg/Action.msg").read_text()
TYPES = get_typestore(Stores.ROS2_HUMBLE)
TYPES.register(get_types_from_msg(ACTION_MSG, "world4rl_interfaces/msg/Action"))
PERIOD = 100_000_000
START = 1_000_000_000_000


def make(kind: str, *args: Any) -> Any:
    return TYPES.types[kind](*args)


def header(stamp: int) -> Any:
    time = make("builtin_interfaces/msg/Time", stamp // 10**9, stamp % 10**9)
    return make("std_msgs/msg/Header", time, "fr3_link0")


def messages(contract: TaskContract, steps: int = 5, seed: int = 0, **options: Any) -> Iterator[tuple[str, int, Any]]:
    """(topic, stamp, message): observations at every period, an executed action 20 ms after each but the last."""
    rng = np.random.default_rng(seed)
    source, skip, values = options.get("source", 2), options.get("skip", ()), options.get("values")
    for k in range(steps + 1):
        stamp = START + k * PERIOD
        point = make("geometry_msgs/msg/Point", *rng.normal(size=3))
        pose = make("geometry_msgs/msg/Pose", point, make("geometry_msgs/msg/Quaternion", 1.0, 0.0, 0.0, 0.0))
        yield (contract.proprioception[0].topic, stamp, make("geometry_msgs/msg/PoseStamped", header(stamp), pose))
        fingers = (["left", "right"], np.array([0.01 * k, 0.01 * k]), np.zeros(2), np.zeros(2))
        yield (contract.proprioception[1].topic, stamp, make("sensor_msgs/msg/JointState", header(stamp), *fingers))
        for stream in contract.images:
            pixels = rng.integers(0, 256, 64 * 64 * 3, dtype=np.uint8)
            image = make("sensor_msgs/msg/Image", header(stamp), 64, 64, "rgb8", 0, 64 * 3, pixels)
            yield stream.topic, stamp, image
        if k < steps and k not in skip:
            action = rng.uniform(-1, 1, contract.action_dim).astype(np.float32) if values is None else values
            policy_id = "bc" if source == 3 else ""
            message = make("world4rl_interfaces/msg/Action", header(stamp + 20_000_000), action, source, policy_id)
            yield contract.executed_action_topic, stamp + 20_000_000, message


def write_bag(path: Path, contract: TaskContract, stream: list[tuple[str, int, Any]], **record: Any) -> Path:
    """A closed bag of these messages; each is received 5 ms after its stamp."""
    writer = BagWriter(path)
    for topic, stamp, message in stream:
        kind = message.__msgtype__
        writer.add_topic(BagTopic(topic, kind, TYPES.generate_msgdef(kind, ros_version=2)[0]))
        writer.write(topic, stamp + 5_000_000, bytes(TYPES.serialize_cdr(message, kind)))
    fields = {"episode_id": path.name, "task": "press", "outcome": Outcome.SUCCESS, **record}
    return writer.close(EpisodeRecord(contract_hash=contract.hash, contract=contract.to_dict(), **fields))

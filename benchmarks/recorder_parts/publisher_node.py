"""Publishes serialized messages made beforehand at a steady rate, so that publishing itself costs little.

    python benchmarks/recorder_parts/publisher_node.py camera|state SECONDS COUNTS.json

`camera`: two topics of 640x480 rgb8 at 30 Hz, best effort. `state`: joint state (reliable), pose (best effort), 1 kHz.
Publishes slowly until a line comes on stdin, then at full rate, and writes how many messages went out and since when.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState

from world4rl_interfaces.msg import Action

CAMERAS = ("/camera/camera/color/image_raw", "/wrist_camera/camera/color/image_raw")
JOINTS, POSE = "/franka_gripper/joint_states", "/franka_robot_state_broadcaster/current_pose"
EXECUTED = "/world4rl/executed_action"


def camera_image(rng: np.random.Generator) -> bytes:
    """A picture that compresses about as a camera's does: shapes with the noise of a sensor in the lowest two bits."""
    y, x = np.mgrid[0:480, 0:640]
    shapes = (np.sin(x / rng.uniform(20, 60)) + np.cos(y / rng.uniform(20, 60))) * 50 + 128
    pixels = shapes[..., None] + rng.integers(-2, 3, (480, 640, 3))
    message = Image(height=480, width=640, encoding="rgb8", step=1920, data=pixels.astype(np.uint8).tobytes())
    message.header.frame_id = "camera"
    return bytes(serialize_message(message))


def joint_state(rng: np.random.Generator) -> bytes:
    names = [f"fr3_joint{i}" for i in range(1, 8)]
    values = [rng.normal(size=7).tolist() for _ in range(3)]
    return bytes(serialize_message(JointState(name=names, position=values[0], velocity=values[1], effort=values[2])))


def pose(rng: np.random.Generator) -> bytes:
    message = PoseStamped()
    message.pose.position.x, message.pose.position.y, message.pose.position.z = rng.normal(size=3).tolist()
    return bytes(serialize_message(message))


def stamped(data: bytes) -> bytes:
    """The message with the present time as its stamp, its first field (bytes 4 to 12 of the serialized form)."""
    now = time.time_ns()
    return data[:4] + (now // 10**9).to_bytes(4, "little") + (now % 10**9).to_bytes(4, "little") + data[12:]


def make_topics(node: Node, kind: str) -> tuple[float, list[tuple[Publisher, list[bytes]]]]:
    """(rate [Hz], publishers with the messages that they send in turn)."""
    rng = np.random.default_rng(0)
    best_effort = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    if kind == "camera":
        images = [camera_image(rng) for _ in range(8)]
        return 30.0, [(node.create_publisher(Image, name, best_effort), images) for name in CAMERAS]
    states = [joint_state(rng) for _ in range(64)]
    poses = [pose(rng) for _ in range(64)]
    joints = node.create_publisher(JointState, JOINTS, QoSProfile(depth=1000))
    return 1000.0, [
        (joints, states),
        (
            node.create_publisher(PoseStamped, POSE, QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)),
            poses,
        ),
    ]


def publish(rate: float, topics: list[tuple[Publisher, list[bytes]]], seconds: float) -> float:
    """Publish for so long; returns the worst lateness [s]."""
    start, count, worst = time.monotonic(), 0, 0.0
    while count < round(seconds * rate):
        wait = start + count / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        worst = max(worst, -wait)
        for publisher, messages in topics:
            publisher.publish(stamped(messages[count % len(messages)]))
        count += 1
    return worst


def warm_up(topics: list[tuple[Publisher, list[bytes]]]) -> None:
    """Show that the topics live until a line comes on stdin."""
    go = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), go.set()), daemon=True).start()
    while not go.wait(0.1):
        for publisher, messages in topics:
            publisher.publish(stamped(messages[0]))


def main() -> None:
    kind, seconds, out = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    rclpy.init()
    node = Node(f"bench_{kind}")
    rate, topics = make_topics(node, kind)
    if kind == "state":
        node.create_publisher(Action, EXECUTED, 1)  # the recorder does not start without the gate
    warm_up(topics)
    first_ns = time.time_ns()
    worst = publish(rate, topics, seconds)
    published = {publisher.topic_name: round(seconds * rate) for publisher, _ in topics}
    out.write_text(json.dumps({"published": published, "first_ns": first_ns, "worst_lateness_s": worst}))
    sys.stdin.readline()  # the topics live until the recorder has stopped
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()

"""The health check against a live /diagnostics: exit codes that a container engine reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from world4rl_bringup.health import Status, problems

pytestmark = pytest.mark.ros


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = Node("talker", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_warnings_are_well_errors_and_silence_are_not() -> None:
    told = {"world4rl: arm_gate": Status(1, "disabled"), "world4rl: policy": Status(0, "ok")}
    assert problems(told, ["arm_gate", "policy"]) == []
    assert problems(told, ["recorder"]) == ["nothing of recorder on /diagnostics"]
    assert problems({**told, "disk": Status(2, "full")}, ["policy"]) == ["disk: full"]
    assert problems({**told, "camera": Status(3, "stale")}, ["policy"]) == ["camera: stale"]


@pytest.mark.parametrize(
    ("level", "expected", "code", "said"),
    [
        (DiagnosticStatus.WARN, "arm_gate", 0, "well: world4rl: arm_gate"),
        (DiagnosticStatus.ERROR, "arm_gate", 1, "world4rl: arm_gate: told by the test"),
        (DiagnosticStatus.OK, "recorder", 1, "nothing of recorder on /diagnostics"),
    ],
)
def test_the_check_returns_what_the_nodes_say(node: Node, level: bytes, expected: str, code: int, said: str) -> None:
    publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
    status = DiagnosticStatus(level=level, name="world4rl: arm_gate", message="told by the test")
    timeout = "20" if code == 0 or said.startswith("world4rl") else "5"
    words = [sys.executable, "-m", "world4rl_bringup.health_node", "--expect", expected, "--timeout", timeout]
    check = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    while check.poll() is None:
        publisher.publish(DiagnosticArray(status=[status]))
        try:
            check.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    assert check.stdout is not None
    assert (check.returncode, check.stdout.read().strip()) == (code, said)

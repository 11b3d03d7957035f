"""Health check: ``ros2 run world4rl_bringup healthcheck --expect arm_gate recorder``. Exit code 0 well, 1 not.

Listens to /diagnostics until every expected node has spoken, at most ``--timeout`` seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from world4rl_bringup.health import Status, problems, silent

_OWN_NAME = "world4rl_health"


class HealthNode(Node):
    """Keeps the newest status of each name."""

    def __init__(self) -> None:
        super().__init__(_OWN_NAME, use_global_arguments=False)
        self.statuses: dict[str, Status] = {}
        self.create_subscription(DiagnosticArray, "/diagnostics", self._note, 100)

    def _note(self, message: DiagnosticArray) -> None:
        for told in message.status:
            self.statuses[told.name] = Status(int.from_bytes(told.level, "little"), told.message)


def main(argv: Sequence[str] | None = None) -> int:
    """0 where all expected nodes spoke and none is at ERROR, else 1 with a line for each problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expect", nargs="+", default=["arm_gate"], metavar="NODE", help="nodes that must be heard")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for them")
    args = parser.parse_args(argv)
    rclpy.init(args=[])
    node = HealthNode()
    try:
        end = time.monotonic() + args.timeout
        while silent(node.statuses, args.expect) and time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.1)
        found = problems(node.statuses, args.expect)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    print("\n".join(found) or f"well: {', '.join(sorted(node.statuses))}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

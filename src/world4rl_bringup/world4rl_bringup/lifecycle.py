"""Wait for the nodes of a graph, then configure and activate its lifecycle nodes. Runs as a process of its own.

``python -m world4rl_bringup.lifecycle --timeout 60 --expect /world4rl/arm_gate --activate /world4rl/recorder``
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node

_TRANSITIONS = ((Transition.TRANSITION_CONFIGURE, "configure"), (Transition.TRANSITION_ACTIVATE, "activate"))


class StartError(RuntimeError):
    """A node did not appear or refused a transition; the message names it."""


def await_nodes(node: Node, names: Sequence[str], timeout_s: float) -> None:
    """Wait until every name (such as ``/world4rl/recorder``) is in the ROS graph, each once."""
    end = time.monotonic() + timeout_s
    while True:
        seen = Counter(f"{ns.rstrip('/')}/{name}" for name, ns in node.get_node_names_and_namespaces())
        twice = [name for name in names if seen[name] > 1]
        if twice:
            raise StartError(f"{twice[0]} runs more than once: another graph uses this ROS_DOMAIN_ID; end it first")
        missing = [name for name in names if name not in seen]
        if not missing:
            return
        if time.monotonic() > end:
            raise StartError(f"not in the ROS graph after {timeout_s:.0f} s: {', '.join(missing)}")
        rclpy.spin_once(node, timeout_sec=0.05)


def activate(node: Node, name: str, timeout_s: float) -> None:
    """Configure and activate one lifecycle node."""
    client = node.create_client(ChangeState, f"{name}/change_state")
    if not client.wait_for_service(timeout_sec=timeout_s):
        raise StartError(f"{name} has no change_state service after {timeout_s:.0f} s")
    for transition, word in _TRANSITIONS:
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        rclpy.spin_until_future_complete(node, future, timeout_sec=timeout_s)
        answer = future.result() if future.done() else None
        if answer is None:
            raise StartError(f"{name} did not answer '{word}' within {timeout_s:.0f} s")
        if not answer.success:
            # rclpy hides an exception of a lifecycle callback, so that there may be no log line.
            raise StartError(f"{name} refused to {word}: see its log lines, if it wrote any")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 when all nodes are there and active, else 1 with the reason as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for each step")
    parser.add_argument("--expect", nargs="*", default=[], metavar="NODE", help="nodes to wait for")
    parser.add_argument("--activate", nargs="*", default=[], metavar="NODE", help="lifecycle nodes to activate")
    args = parser.parse_args(argv)
    rclpy.init(args=[])
    node = Node("world4rl_bringup")
    try:
        await_nodes(node, [*args.expect, *args.activate], args.timeout)
        for name in args.activate:
            activate(node, name, args.timeout)
        print(f"graph is up: {', '.join([*args.expect, *args.activate])}", flush=True)
    except StartError as error:
        print(error, flush=True)
        return 1
    except KeyboardInterrupt:
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Holds the SROS 2 policy files against the nodes of a running graph.

``python -m world4rl_bringup.policies_node`` says what the nodes in sight use and their files do not allow;
``--write`` writes the files anew from what is used, ``--namespace`` is where the nodes stand.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import rclpy
from rclpy.node import Node

from world4rl_bringup.policies import (
    NodeUses,
    allowance,
    policy_folder,
    read_policy,
    relative,
    uses,
    write_policy,
)

_LOOKS_ALIKE = 4  # discovery tells of nodes one by one, and of a node before it tells of all that the node has
_LOOK_S = 1.0


def nodes_in_sight(node: Node, namespace: str) -> dict[str, NodeUses]:
    """What each node of a namespace uses, by its name, as far as it is known now."""
    found = {}
    for name, space in node.get_node_names_and_namespaces():
        if space != namespace or name == node.get_name():
            continue
        told = [
            [relative(full, namespace, name) for full, _ in ask(name, space)]
            for ask in (
                node.get_publisher_names_and_types_by_node,
                node.get_subscriber_names_and_types_by_node,
                node.get_service_names_and_types_by_node,
                node.get_client_names_and_types_by_node,
            )
        ]
        found[name] = uses(*told)
    return found


def settled(node: Node, namespace: str, timeout_s: float) -> dict[str, NodeUses]:
    """As `nodes_in_sight`, once nothing new has come for some seconds."""
    looks: list[dict[str, NodeUses]] = []
    end = time.monotonic() + timeout_s
    while len(looks) < _LOOKS_ALIKE or any(look != looks[-1] for look in looks[-_LOOKS_ALIKE:]):
        if time.monotonic() > end:
            raise SystemExit(f"the nodes of {namespace} still change after {timeout_s:g} s: is the graph starting?")
        time.sleep(_LOOK_S)
        looks.append(nodes_in_sight(node, namespace))
    return looks[-1]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 1 where a file is missing, or allows less than its node uses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", default="/world4rl")
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args(argv)
    rclpy.init(args=[])
    node = Node("world4rl_policies")
    try:
        found = settled(node, args.namespace, args.timeout)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    faults = 0
    for name, used in sorted(found.items()):
        path = policy_folder() / f"{name}.policy.xml"
        if args.write:
            path.parent.mkdir(exist_ok=True)
            write_policy(path, name, allowance(name, used))
            print(f"{name}: {path}")
            continue
        missing = used.missing_from(read_policy(path)[1]) if path.is_file() else ["has no policy file"]
        faults += len(missing)
        print(f"{name}: {'; '.join(missing) or 'all that it uses is allowed'}")
    if not found:
        print(f"no node in {args.namespace}: start the graph first", file=sys.stderr)
    return 1 if faults or not found else 0


if __name__ == "__main__":
    sys.exit(main())

"""The recorder node's parameters: names, defaults, meaning and ranges."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from .parameter_messages import describe

# name: (default, meaning, range of a number)
_PARAMETERS: dict[str, tuple[Any, str, tuple[float, float] | tuple[()]]] = {
    "contract": ("franka_sim", "Task contract: name of a shipped one or path of a YAML file. Read on configure.", ()),
    "bags_dir": ("bags", "Folder that receives one bag directory per episode. Read on configure.", ()),
    "extra_topics": ([""], "Topics recorded beside the contract's; types are taken from the graph.", ()),
    "task": ("", "Task of episodes that ~/start begins; empty: the contract's name. May be set at any time.", ()),
    "min_free_mb": (500.0, "Free disk space [MB] below which no episode starts and a running one ends.", (0.0, 1e9)),
    "max_queue_mb": (256.0, "Messages waiting for the disk [MB] before more are dropped and counted.", (1.0, 1e6)),
    "flush_s": (1.0, "Data is brought to the disk at least this often [s]; a crash costs no more.", (0.05, 60.0)),
    "silence_s": (2.0, "A topic without a message for this long [s] counts as silent.", (0.05, 60.0)),
    "start_timeout_s": (3.0, "How long a start waits [s] for silent topics before it is refused.", (0.0, 60.0)),
    "stop_grace_s": (0.1, "How long after a stop [s] messages still on their way are recorded.", (0.0, 10.0)),
    "autostart": (False, "Configure and activate at once, for use without a lifecycle manager.", ()),
}


def declare_parameters(node: Node) -> None:
    """Declare all of them, with descriptors."""
    for name, (default, meaning, limits) in _PARAMETERS.items():
        node.declare_parameter(name, default, describe(meaning, *limits, read_only=False))

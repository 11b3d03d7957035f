"""Writes the SROS 2 policy files anew: ``python tests/graph/write_policies.py``, then look at the diff.

Starts every node of ours on the simulated graph, and a client that has called everything. Needs no security.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import rclpy
from graph_rig import NAMESPACE, lab, node_environment
from rclpy.node import Node

from world4rl_bringup.client import ClientError, Outcome, World4RLClient
from world4rl_bringup.domain import own_domain
from world4rl_bringup.policies import allowance, policy_folder, write_policy
from world4rl_bringup.policies_node import settled

OTHERS = {  # not in the graph of graph_rig
    "scripted_operator": ("world4rl_sim.scripted_operator_node", ["task:=push_cube", "use_sim_time:=true"]),
    "deployment": ("world4rl_sim.deployment_node", ["task:=push_cube", "use_sim_time:=true"]),
    "teleop": ("world4rl_control.teleop_node", ["device:=joystick", "use_sim_time:=true"]),
}


@contextmanager
def other_nodes(contract: Path, env: dict[str, str]) -> Iterator[None]:
    processes = []
    for name, (module, parameters) in OTHERS.items():
        words = [sys.executable, "-m", module, "--ros-args", "-r", f"__ns:=/{NAMESPACE}", "-r", f"__node:={name}"]
        for parameter in (f"contract:={contract}", *parameters):
            words += ["-p", parameter]
        processes.append(subprocess.Popen(words, env=env))
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def call_everything(client: World4RLClient) -> None:
    """What is answered does not matter: a client's services are made on their first use."""
    nowhere = "/nowhere"
    for call in (
        client.start_episode,
        partial(client.stop_episode, Outcome.FAILURE),
        client.discard_episode,
        client.disable,
        client.release,
        partial(client.reset, seed=1),
        client.reset,
        client.recover,
        partial(client.load_policy, nowhere),
        partial(client.load_model, nowhere),
        partial(client.imagine_many, 1),
        partial(client.imagine, 1, timeout_s=120.0),  # until the imagination node, the slowest to start, is there
    ):
        with contextlib.suppress(ClientError):
            call()


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="world4rl-policies-"))
    with own_domain() as env:
        os.environ.update(env)
        rclpy.init(args=[])
        node = Node("world4rl_policies")
        contract = folder / "lab" / "lab.yaml"
        contract.parent.mkdir()
        (folder / "metadata").mkdir()
        with (
            lab(contract.parent),
            other_nodes(contract, node_environment(folder / "metadata")),
            World4RLClient(NAMESPACE, timeout_s=5.0) as client,
        ):
            call_everything(client)
            found = settled(node, f"/{NAMESPACE}", 120.0)
    policy_folder().mkdir(exist_ok=True)
    for name, used in found.items():
        write_policy(policy_folder() / f"{name}.policy.xml", name, allowance(name, used))
        print(f"{name}: {sum(len(names) for names in vars(used).values())} names")


if __name__ == "__main__":
    main()

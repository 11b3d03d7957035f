"""Every parameter that the graph or a parameter file sets is one that the node knows.

rclpy takes an override of an undeclared parameter without a word, so that a misspelt name would be ignored for ever.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import rclpy
import yaml
from rcl_interfaces.srv import ListParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from world4rl_bringup.graph import graph
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.running_graph import RunningGraph
from world4rl_bringup.spec import NodeSpec

pytestmark = pytest.mark.ros


def set_names(spec: NodeSpec) -> set[str]:
    names = set(spec.parameters)
    for path in spec.parameter_files:
        for section in yaml.safe_load(path.read_text()).values():
            names |= set(section["ros__parameters"])
    return names


def declared_names(client: Node, executor: SingleThreadedExecutor, node: str) -> set[str]:
    service = client.create_client(ListParameters, f"{node}/list_parameters")
    assert service.wait_for_service(timeout_sec=60), f"{node} has no parameter services"
    future = service.call_async(ListParameters.Request())
    executor.spin_until_future_complete(future, timeout_sec=90)  # a node that imports torch answers late
    assert future.done(), f"{node} does not answer"
    return set(future.result().result.names)


def test_the_nodes_know_every_parameter_that_is_set(ros_domain: int, tmp_path: Path) -> None:
    folder = str(tmp_path)
    options = GraphOptions(  # no episodes: the operator and the deployment start, and then only answer
        policy=True, imagination=True, operator=True, episodes=0, exit_when_done=False, bags_dir=folder, results=folder
    )
    specs = graph("sim_arm", options)
    specs += [s for s in graph("deploy_sim", replace(options, policy_checkpoint=folder)) if s.name == "deployment"]
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    client = Node("test_client", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(client)
    try:
        with RunningGraph(specs, tmp_path / "log", autostart=False):
            unknown = {s.name: set_names(s) - declared_names(client, executor, s.full_name) for s in specs}
    finally:
        executor.shutdown()
        client.destroy_node()
        context.try_shutdown()
    assert unknown == {spec.name: set() for spec in specs}

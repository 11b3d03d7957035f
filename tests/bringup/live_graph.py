"""What a running graph says of itself: parameters, topics, services, actions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.srv import DescribeParameters, ListParameters
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from world4rl_bringup.spec import NodeSpec

STANDARD = ("/rosout", "/parameter_events", "/transition_event", "_action/status", "_action/feedback")
STANDARD_SERVICES = ("rcl_interfaces/", "lifecycle_msgs/", "type_description_interfaces/", "action_msgs/")


@dataclass
class Snapshot:
    """By node name: parameter descriptors, {topic: (type, QoS)} of publishers and subscribers, {service: type}."""

    parameters: dict[str, dict[str, ParameterDescriptor]] = field(default_factory=dict)
    publishers: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    subscribers: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    services: dict[str, dict[str, str]] = field(default_factory=dict)


class Observer:
    """A node of the test that asks the others."""

    def __init__(self, domain_id: int) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self._node = Node("test_observer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def snapshot(self, specs: list[NodeSpec], complete: Callable[[Snapshot], bool]) -> Snapshot:
        """Look until ``complete`` says that all is there, at most 60 s: discovery has no end of its own."""
        parameters = {spec.name: self._parameters(spec.full_name) for spec in specs}
        end = time.monotonic() + 60
        while True:
            seen = Snapshot(parameters)
            for spec in specs:
                self._look(spec, seen)
            if complete(seen) or time.monotonic() > end:
                return seen
            time.sleep(0.2)

    def _ask(self, kind: Any, service: str, request: Any) -> Any:
        client = self._node.create_client(kind, service)
        assert client.wait_for_service(timeout_sec=60), f"no service {service}"
        future = client.call_async(request)
        self._executor.spin_until_future_complete(future, timeout_sec=90)  # a node that imports torch answers late
        assert future.done(), f"no answer from {service}"
        return future.result()

    def _parameters(self, node: str) -> dict[str, ParameterDescriptor]:
        names = list(self._ask(ListParameters, f"{node}/list_parameters", ListParameters.Request()).result.names)
        request = DescribeParameters.Request(names=names)
        answer = self._ask(DescribeParameters, f"{node}/describe_parameters", request)
        return dict(zip(names, answer.descriptors, strict=True))

    def _look(self, spec: NodeSpec, seen: Snapshot) -> None:
        who = (spec.name, spec.namespace)
        look = self._node
        for found, by_node, infos in (
            (seen.publishers, look.get_publisher_names_and_types_by_node, look.get_publishers_info_by_topic),
            (seen.subscribers, look.get_subscriber_names_and_types_by_node, look.get_subscriptions_info_by_topic),
        ):
            found[spec.name] = {
                topic: (types[0], _qos([info for info in infos(topic) if info.node_name == spec.name]))
                for topic, types in by_node(*who)
                if not topic.endswith(STANDARD)
            }
        served = look.get_service_names_and_types_by_node(*who)
        actions = get_action_server_names_and_types_by_node(look, *who)
        seen.services[spec.name] = {
            name: types[0]
            for name, types in [*served, *actions]
            if not types[0].startswith(STANDARD_SERVICES) and "/_action/" not in name
        }


def _qos(infos: list[Any]) -> str:
    """Such as "BE" or "R TL"; several endpoints of one node on one topic are joined by a comma."""
    words = set()
    for info in infos:
        word = "R" if info.qos_profile.reliability == ReliabilityPolicy.RELIABLE else "BE"
        words.add(word + (" TL" if info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL else ""))
    return ",".join(sorted(words))

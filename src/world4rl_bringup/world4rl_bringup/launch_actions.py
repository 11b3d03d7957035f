"""The graph's node specs as actions of ROS 2's ``launch``. Keeps to what Humble's launch_ros has."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription
from world4rl_bringup.companions import Companion, IncludeSpec, SpawnerSpec
from world4rl_bringup.graph import MODES, companions, graph, notices
from world4rl_bringup.middleware import middleware
from world4rl_bringup.options import default_of, help_of, parse_options
from world4rl_bringup.refusals import refusals, unknown_arguments
from world4rl_bringup.spec import SIGKILL_AFTER_S, SIGTERM_AFTER_S, NodeSpec


def launch_description(mode: str) -> LaunchDescription:
    """The launch description of a mode: its documented arguments, and its nodes once their values are known."""
    actions: list[Action] = [_declare(name) for name in MODES[mode].options]
    return LaunchDescription([*actions, OpaqueFunction(function=_resolve, args=[mode])])


def node_arguments(spec: NodeSpec) -> dict[str, Any]:
    """The spec as arguments of ``launch_ros``'s Node."""
    inline = [dict(spec.parameters)] if spec.parameters else []
    return {
        "package": spec.package,
        "executable": spec.executable,
        "name": spec.name,
        "namespace": spec.namespace,
        "parameters": [*(str(path) for path in spec.parameter_files), *inline],
        "remappings": list(spec.remappings),
        "arguments": list(spec.arguments),
        "ros_arguments": list(spec.ros_arguments),
        "output": "both",
        "emulate_tty": True,
        "sigterm_timeout": str(SIGTERM_AFTER_S),
        "sigkill_timeout": str(SIGKILL_AFTER_S),
        # The same rule as the runner's: a node that ends by itself ends the graph.
        "on_exit": [OpaqueFunction(function=_end_graph, args=[spec.name])] if spec.essential else None,
    }


def _end_graph(context: LaunchContext, name: str) -> list[Action]:
    """End everything, once: a second Shutdown event while the nodes are ending is an error in launch_ros."""
    return _shutdown(context, f"node {name} ended by itself: ending the graph")


def _shutdown(context: LaunchContext, reason: str) -> list[Action]:
    """The end of everything, with its reason in the log (Shutdown keeps it to itself); nothing where it has begun."""
    return [] if context.is_shutdown else [LogInfo(msg=reason), Shutdown(reason=reason)]


def lifecycle_actions(
    spec: NodeSpec, autostart: bool, on_active: Callable[[LaunchContext], list[Action]]
) -> list[Action]:
    """A lifecycle node. With ``autostart``: configured when its process starts, activated when configuring succeeded.

    Not activated again after a later deactivation by hand. ``on_active`` gives the actions that follow each activation.
    """
    node = LifecycleNode(**node_arguments(spec))
    if not autostart:
        return [node]
    configure = OnProcessStart(target_action=node, on_start=[_change(node, Transition.TRANSITION_CONFIGURE)])
    activate = OnStateTransition(
        target_lifecycle_node=node,
        start_state="configuring",
        goal_state="inactive",
        entities=[_change(node, Transition.TRANSITION_ACTIVATE)],
    )
    active = OnStateTransition(
        target_lifecycle_node=node,
        start_state="activating",
        goal_state="active",
        entities=[OpaqueFunction(function=on_active)],
    )
    # The handlers stand before the node's process starts.
    return [*(RegisterEventHandler(handler) for handler in (configure, activate, active)), node]


def _declare(name: str) -> DeclareLaunchArgument:
    default = default_of(name)
    text = str(default).lower() if isinstance(default, bool) else str(default)
    choices = {"choices": ["true", "false"]} if isinstance(default, bool) else {}
    return DeclareLaunchArgument(name, default_value=text, description=help_of(name), **choices)


def _change(node: LifecycleNode, transition: int) -> EmitEvent:
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))


def _resolve(context: LaunchContext, mode: str) -> list[Action]:
    given = dict(context.launch_configurations)
    options = parse_options({name: given[name] for name in MODES[mode].options})
    refused, unknown = unknown_arguments(mode, given)
    refused += refusals(mode, options, can_include_driver=True)
    if refused:
        raise RuntimeError("".join(f"\ncannot start {mode}: {reason}" for reason in refused))
    actions: list[Action] = [LogInfo(msg=f"{mode} has no argument {name}: ignored") for name in unknown]
    actions += [LogInfo(msg=text) for text in notices(mode, options)]
    # Before all that is started: processes get the environment of their moment.
    actions += [SetEnvironmentVariable(*pair) for pair in middleware(mode, options, os.environ).items()]
    for companion in companions(mode, options)[0]:
        actions += companion_actions(companion)
    specs = graph(mode, options)
    waiting = {spec.name for spec in specs if spec.lifecycle and options.autostart}
    jobs = [Node(**node_arguments(spec)) for spec in specs if spec.finishes]
    for spec in specs:
        if spec.lifecycle:
            actions += lifecycle_actions(spec, options.autostart, _JobStart(waiting, spec.name, jobs))
        elif not (spec.finishes and waiting):
            actions.append(Node(**node_arguments(spec)))
    return actions


@dataclass(frozen=True)
class _JobStart:
    """Starts the nodes that have a job to finish when the last of the lifecycle nodes has become active."""

    waiting: set[str]
    name: str
    jobs: list[Node]

    def __call__(self, context: LaunchContext) -> list[Action]:
        if self.name not in self.waiting:  # activated once more by hand
            return []
        self.waiting.remove(self.name)
        return [] if self.waiting else list(self.jobs)


def companion_actions(spec: Companion) -> list[Action]:
    """An include in a scope of its own, so that its arguments do not leak into ours; or a spawner of controllers."""
    if isinstance(spec, IncludeSpec):
        source = PythonLaunchDescriptionSource(str(spec.path))
        return [GroupAction([IncludeLaunchDescription(source, launch_arguments=dict(spec.arguments).items())])]
    spawner = Node(
        package="controller_manager",
        executable="spawner",
        arguments=list(spec.arguments),
        output="both",
        emulate_tty=True,
        on_exit=_SpawnerEnd(spec),
    )
    return [spawner]


@dataclass(frozen=True)
class _SpawnerEnd:
    """A spawner that succeeded has done its job; without its controllers the arm would not follow the gate."""

    spec: SpawnerSpec

    def __call__(self, event: ProcessExited, context: LaunchContext) -> list[Action]:
        names = ", ".join(self.spec.controllers)
        if event.returncode == 0:
            return [LogInfo(msg=f"controllers are active: {names}")]
        return _shutdown(
            context, f"the spawner of {names} failed (exit code {event.returncode}), see its lines: ending the graph"
        )

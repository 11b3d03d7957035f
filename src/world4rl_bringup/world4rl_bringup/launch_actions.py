"""The graph's node specs as actions of ROS 2's ``launch``. Keeps to what Humble's launch_ros has."""

from __future__ import annotations

import os
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
from world4rl_bringup.spec import SIGKILL_AFTER_S, NodeSpec

# Ways back from a transition that was begun: refused, or failed with an exception.
_REFUSALS = (
    ("configuring", "unconfigured", "configure"),
    ("configuring", "errorprocessing", "configure"),
    ("activating", "inactive", "activate"),
    ("activating", "errorprocessing", "activate"),
)


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
        "sigterm_timeout": str(spec.sigterm_after_s),
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


def lifecycle_actions(spec: NodeSpec, start: LifecycleStart | None) -> list[Action]:
    """A lifecycle node. With ``start``: configured when its process starts, activated when configuring succeeded.

    Not activated again after a later deactivation by hand.
    """
    node = LifecycleNode(**node_arguments(spec))
    if start is None:
        return [node]
    configure = OnProcessStart(target_action=node, on_start=[_change(node, Transition.TRANSITION_CONFIGURE)])
    activate = _change(node, Transition.TRANSITION_ACTIVATE)
    activated = OpaqueFunction(function=start.activated, args=[spec.name])
    followed = [
        _on_transition(node, "configuring", "inactive", activate),
        _on_transition(node, "activating", "active", activated),
    ]
    for begun, back, verb in _REFUSALS:
        refused = OpaqueFunction(function=start.refused, args=[spec.name, f"{spec.full_name} refused to {verb}"])
        followed.append(_on_transition(node, begun, back, refused))
    # The handlers stand before the node's process starts.
    return [*(RegisterEventHandler(handler) for handler in (configure, *followed)), node]


def _on_transition(node: LifecycleNode, begun: str, ended: str, action: Action) -> OnStateTransition:
    return OnStateTransition(target_lifecycle_node=node, start_state=begun, goal_state=ended, entities=[action])


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
    jobs = [Node(**node_arguments(spec)) for spec in specs if spec.finishes]
    waiting = {spec.name for spec in specs if spec.lifecycle and options.autostart}
    start = LifecycleStart(waiting, jobs) if waiting else None
    for spec in specs:
        if spec.lifecycle:
            actions += lifecycle_actions(spec, start)
        elif not (spec.finishes and waiting):
            actions.append(Node(**node_arguments(spec)))
    return actions


@dataclass(frozen=True)
class LifecycleStart:
    """Starts the nodes that have a job to finish when the last of the lifecycle nodes has become active.

    One that cannot be brought up ends the graph, as with the runner. What becomes of a node by hand, after it was
    active, ends nothing: the gate and the others may be at work.
    """

    waiting: set[str]
    jobs: list[Node]

    def activated(self, context: LaunchContext, name: str) -> list[Action]:
        if name not in self.waiting:  # activated once more by hand
            return []
        self.waiting.remove(name)
        return [] if self.waiting else list(self.jobs)

    def refused(self, context: LaunchContext, name: str, reason: str) -> list[Action]:
        if name not in self.waiting:
            return []
        return _shutdown(context, f"{reason}: see its log lines, if it wrote any: ending the graph")


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

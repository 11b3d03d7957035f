"""What to say when a node's service or topic is not there: which node to start, and how."""

from __future__ import annotations

from collections.abc import Sequence

_STARTED_BY = {
    "sim_arm": "ros2 launch world4rl_bringup sim_arm.launch.py",
    "arm_gate": "ros2 launch world4rl_bringup real_arm.launch.py, or sim_arm.launch.py",
    "recorder": "ros2 launch world4rl_bringup record.launch.py, or record:=true with another launch file",
    "policy": "sim_arm.launch.py or real_arm.launch.py with policy_checkpoint:=FOLDER",
    "imagination": "ros2 launch world4rl_bringup imagine.launch.py world_model_checkpoint:=FOLDER",
}
_OWNERS = {  # of names that do not begin with their node's
    "start_episode": "recorder",
    "stop_episode": "recorder",
    "discard_episode": "recorder",
    "imagine_rollout": "imagination",
    "imagine_rollouts": "imagination",
}
_LIFECYCLE = ("recorder", "policy")


def owner(name: str) -> str:
    """The node behind a name: ``policy`` of ``policy/enable``, ``recorder`` of ``start_episode``."""
    return _OWNERS.get(name, name.split("/")[0])


def what_is_missing(what: str, name: str, namespace: str, nodes: Sequence[str], waited_s: float, domain_id: int) -> str:
    """A sentence with the mend. `what` as in "service /world4rl/start_episode", `nodes` are all full names in sight."""
    node = owner(name)
    full_name = f"{namespace.rstrip('/')}/{node}"
    said = f"{what} is not there after {waited_s:g} s: "
    if full_name in nodes:
        if node in _LIFECYCLE:
            mend = f"`ros2 lifecycle set {full_name} configure`, then `activate`"
            return f"{said}node {full_name} runs, but is not active: {mend}"
        return f"{said}node {full_name} runs, but does not offer it (yet): see its log"
    elsewhere = [seen for seen in nodes if seen.rsplit("/", 1)[-1] == node]
    if elsewhere:
        return f"{said}node {elsewhere[0]} runs in another namespace: give this client that namespace"
    start = f"start the node {node}: {_STARTED_BY.get(node, full_name)}"
    if not any(seen.startswith(f"{namespace.rstrip('/')}/") and "client" not in seen for seen in nodes):
        return f"{said}no node of {namespace} is in sight on ROS_DOMAIN_ID {domain_id}; {start}"
    return f"{said}{start}"

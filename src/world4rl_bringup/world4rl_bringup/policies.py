"""SROS 2 policies of our nodes: what a node may publish, hear, serve and ask, as names and as XML."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from world4rl_bringup.paths import package_prefix
from world4rl_data.contract import TaskContract, contract_names

NAMESPACE = "/world4rl"  # of the shipped files
_VERSION = "0.2.0"
# Attribute of SROS 2's policy schema and its elements, for each kind of use.
_KINDS = {
    "publishes": ("topics", "topic", "publish"),
    "subscribes": ("topics", "topic", "subscribe"),
    "serves": ("services", "service", "reply"),
    "calls": ("services", "service", "request"),
    "executes": ("actions", "action", "execute"),
    "sends_goals_to": ("actions", "action", "call"),
}


@dataclass(frozen=True)
class NodeUses:
    """Names that a node uses: ``~/status`` of its own, ``action`` in our namespace, ``/clock`` of the others."""

    publishes: frozenset[str] = frozenset()
    subscribes: frozenset[str] = frozenset()
    serves: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    executes: frozenset[str] = frozenset()
    sends_goals_to: frozenset[str] = frozenset()

    def missing_from(self, allowed: NodeUses) -> list[str]:
        """What is used here but not allowed there, one line per name; empty when all is."""
        return [
            f"{kind.name} {name}"
            for kind in fields(self)
            for name in sorted(getattr(self, kind.name) - getattr(allowed, kind.name))
        ]


_WITH_OTHER_ARGUMENTS = {
    "arm_gate": NodeUses(subscribes=frozenset({"/current_pose"})),  # a real arm: its controller's own pose
    "policy": NodeUses(subscribes=frozenset({"executed_action"})),  # trust_world_model
    "teleop": NodeUses(subscribes=frozenset({"/joy", "/spacenav/joy", "/spacenav/twist"})),  # one device at a time
}


def relative(name: str, namespace: str, node: str) -> str:
    """A full name as the policy files write it."""
    own, ours = f"{namespace.rstrip('/')}/{node}/", f"{namespace.rstrip('/')}/"
    if name.startswith(own):
        return "~/" + name.removeprefix(own)
    return name.removeprefix(ours)


def uses(publishes: Iterable[str], subscribes: Iterable[str], serves: Iterable[str], calls: Iterable[str]) -> NodeUses:
    """From the names that ROS tells of a node; the topics and services behind an action become the action."""

    def plain(names: Iterable[str]) -> frozenset[str]:
        return frozenset(name for name in names if "/_action/" not in name)

    def actions(names: Iterable[str]) -> frozenset[str]:
        return frozenset(name.split("/_action/")[0] for name in names if "/_action/" in name)

    serves, calls = list(serves), list(calls)
    return NodeUses(plain(publishes), plain(subscribes), plain(serves), plain(calls), actions(serves), actions(calls))


def allowance(node: str, used: NodeUses) -> NodeUses:
    """What a node may that was seen to use `used` under one contract.

    A node that hears pictures may hear the observations of every shipped contract, who sends some may send all of them,
    and each may what it uses with the shipped launch files' other arguments only.
    """
    contracts = [TaskContract.load(name) for name in contract_names()]
    pictures = frozenset(stream.topic for contract in contracts for stream in contract.images)
    observed = frozenset(topic for contract in contracts for topic in contract.observation_topics)
    more = _WITH_OTHER_ARGUMENTS.get(node, NodeUses())
    return replace(
        used,
        publishes=used.publishes | (pictures if used.publishes & pictures else frozenset()),
        subscribes=used.subscribes | (observed if used.subscribes & pictures else frozenset()) | more.subscribes,
    )


def write_policy(path: Path, node: str, allowed: NodeUses) -> None:
    """One enclave with one profile, in SROS 2's policy schema."""
    root = ElementTree.Element("policy", version=_VERSION)
    enclave = ElementTree.SubElement(ElementTree.SubElement(root, "enclaves"), "enclave", path=f"{NAMESPACE}/{node}")
    profile = ElementTree.SubElement(ElementTree.SubElement(enclave, "profiles"), "profile", ns=NAMESPACE, node=node)
    for kind, (group, element, rule) in _KINDS.items():
        names = sorted(getattr(allowed, kind))
        if names:
            listed = ElementTree.SubElement(profile, group, {rule: "ALLOW"})
            for name in names:
                ElementTree.SubElement(listed, element).text = name
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n', encoding="utf-8")


def read_policy(path: Path) -> tuple[str, NodeUses]:
    """The node of a policy file and what it may. ValueError where the file is not one enclave with one profile."""
    profiles = ElementTree.parse(path).findall("./enclaves/enclave/profiles/profile")
    if len(profiles) != 1:
        raise ValueError(f"{path} has {len(profiles)} profiles, expected one: a file is for one node")
    allowed = {
        kind: frozenset(e.text or "" for listed in profiles[0].findall(group) if listed.get(rule) for e in listed)
        for kind, (group, _, rule) in _KINDS.items()
    }
    return profiles[0].get("node", ""), NodeUses(**allowed)


def policy_folder() -> Path:
    """Where the policy files lie: in the source tree, or in the installed share folder."""
    source = Path(__file__).resolve().parent.parent / "sros2"
    prefix = package_prefix("world4rl_bringup")
    if source.is_dir() or prefix is None:
        return source
    return prefix / "share/world4rl_bringup/sros2"

"""Writes tests/architecture/rosdep_keys.yaml: what rosdep knows of the keys in our package.xml files, per distribution.

    git clone --depth 1 https://github.com/ros/rosdistro && python scripts/rosdep_keys.py rosdistro

The list is committed, so that the test of the keys needs no network. A checkout or a bare clone does.
"""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests/architecture/rosdep_keys.yaml"
DISTRIBUTIONS = {"humble": "jammy", "jazzy": "noble", "kilted": "noble"}  # ROS 2 and its Ubuntu
RULES = ("rosdep/base.yaml", "rosdep/python.yaml")


def keys_used() -> set[str]:
    """All dependencies that the manifests name, less the packages of this repository."""
    manifests = list((ROOT / "src").glob("*/package.xml"))
    ours = {path.parent.name for path in manifests}
    named = {
        str(element.text)
        for path in manifests
        for element in ElementTree.parse(path).iter()
        if element.tag.endswith("depend")
    }
    return named - ours


def _file(repository: Path, name: str) -> Any:
    shown = subprocess.run(
        ["git", "-C", str(repository), "show", f"HEAD:{name}"], check=True, capture_output=True, text=True
    )
    return yaml.load(shown.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def released(distribution: dict[str, Any]) -> set[str]:
    """Names of the packages that a distribution has released; a repository without a list is one package."""
    names: set[str] = set()
    for repository, entry in distribution["repositories"].items():
        release = entry.get("release") or {}
        if release.get("version"):
            names |= set(release.get("packages") or [repository])
    return names


def system_package(rules: dict[str, Any], key: str, ubuntu: str) -> str | None:
    """What a rule installs on an Ubuntu; None where it has none."""
    rule = (rules.get(key) or {}).get("ubuntu")
    if isinstance(rule, dict):
        rule = rule.get(ubuntu, rule.get("*", rule.get("apt")))
    return " ".join(rule) if isinstance(rule, list) else rule


def main(repository: Path) -> None:
    """Look every key up in the clone's HEAD and write the list."""
    rules: dict[str, Any] = {}
    for name in RULES:
        rules |= _file(repository, name)
    known = {name: released(_file(repository, f"{name}/distribution.yaml")) for name in DISTRIBUTIONS}
    table = {}
    for key in sorted(keys_used()):
        answers = {}
        for name, ubuntu in DISTRIBUTIONS.items():
            ros = f"ros-{name}-{key.replace('_', '-')}" if key in known[name] else None
            answers[name] = ros or system_package(rules, key, ubuntu)
        table[key] = answers
    commit = subprocess.run(
        ["git", "-C", str(repository), "log", "-1", "--format=%H %cs"], check=True, capture_output=True, text=True
    ).stdout.split()
    head = (
        "# What rosdep installs for each key of our package.xml files; null: it knows none.\n"
        "# Written by scripts/rosdep_keys.py.\n"
        f"source: https://github.com/ros/rosdistro ({', '.join(RULES)}, */distribution.yaml)\n"
        f"commit: {commit[0]}\ndate: {commit[1]}\n"
    )
    LIST.write_text(head + yaml.safe_dump({"keys": table}, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

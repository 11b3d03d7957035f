"""rosdep can install what our manifests name, on every ROS 2 that the project is for, or install.md says to skip it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import yaml
from sources import ROOT

LIST = ROOT / "tests/architecture/rosdep_keys.yaml"  # written by scripts/rosdep_keys.py; names its source and commit
AGAIN = "write tests/architecture/rosdep_keys.yaml again: scripts/rosdep_keys.py"


def _known() -> dict[str, dict[str, str | None]]:
    listed: dict[str, Any] = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    assert "ros/rosdistro" in listed["source"] and re.fullmatch("[0-9a-f]{40}", listed["commit"])
    keys: dict[str, dict[str, str | None]] = listed["keys"]
    return keys


def _named() -> dict[str, set[str]]:
    """Manifest by manifest: what it depends on."""
    return {
        path.parent.name: {str(e.text) for e in ElementTree.parse(path).iter() if e.tag.endswith("depend")}
        for path in (ROOT / "src").glob("*/package.xml")
    }


def _skipped() -> set[str]:
    (keys,) = re.findall(r"rosdep install .*--skip-keys (\w+)", (ROOT / "docs/install.md").read_text(encoding="utf-8"))
    return {keys}


def test_every_key_is_in_the_list_and_none_is_left_over() -> None:
    named = _named()
    used = set().union(*named.values()) - set(named)
    assert used == set(_known()), AGAIN


def test_every_distribution_has_every_key_or_install_md_skips_it() -> None:
    for key, answers in _known().items():
        assert set(answers) == {"humble", "jazzy", "kilted"}
        unknown = {name for name, package in answers.items() if package is None}
        assert not unknown or key in _skipped(), f"{key} has no package on {sorted(unknown)}"
    assert _skipped() <= set(_known()), "install.md skips a key that nobody names"

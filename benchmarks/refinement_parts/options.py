"""Settings of a benchmark from its command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TypeVar

import yaml

Config = TypeVar("Config")


def with_settings(configs: Mapping[str, Config], settings: Sequence[str]) -> dict[str, Config]:
    """`configs` by name with settings such as ``iql.expectile=0.9`` on top.

    Raises:
        SystemExit: there is no such setting.
    """
    changed = dict(configs)
    for text in settings:
        key, _, value = text.partition("=")
        name, _, field = key.partition(".")
        known = {f.name for f in fields(changed[name])} if name in changed else set()  # type: ignore[arg-type]
        if field not in known:
            there = ", ".join(f"{name}.{f.name}" for name, config in configs.items() for f in fields(config))  # type: ignore[arg-type]
            raise SystemExit(f"--set {text}: there is no such setting; there are {there}")
        before = getattr(changed[name], field)
        changed[name] = replace(changed[name], **{field: type(before)(yaml.safe_load(value))})  # type: ignore[type-var]
    return changed

"""Nested settings as one flat table, to be held against another line by line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def dotted(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists to dotted keys; list items that have a name are called by it.

    A list of plain values stays one value.
    """
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list) and any(isinstance(v, Mapping | list) for v in value):
        items = [(v.get("name", str(i)) if isinstance(v, Mapping) else str(i), v) for i, v in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat.update(dotted(item, f"{prefix}.{key}" if prefix else str(key)))
    return flat

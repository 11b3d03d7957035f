"""Full text of ROS message definitions, so that a bag explains itself to readers without ROS."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path

_PRIMITIVES = {
    *("bool", "byte", "char", "float32", "float64", "string", "wstring"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*")


class DefinitionError(LookupError):
    """A message type whose .msg file is not installed here."""


@cache
def message_definition(msgtype: str) -> str:
    """Definition of `pkg/msg/Name` in the format `ros2msg`: its .msg text, then those of all types it contains."""
    texts = [_text(msgtype)]
    seen = {msgtype}
    waiting = _contained(texts[0], msgtype)
    while waiting:
        inner = waiting.pop(0)
        if inner in seen:
            continue
        seen.add(inner)
        text = _text(inner)
        package, _, name = inner.split("/")
        texts.append(f"MSG: {package}/{name}\n{text}")
        waiting += _contained(text, inner)
    return f"\n{'=' * 80}\n".join(texts)


def _text(msgtype: str) -> str:
    package, kind, name = msgtype.split("/")
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [sys.prefix]
    for prefix in prefixes:
        path = Path(prefix) / "share" / package / kind / f"{name}.msg"
        if path.is_file():
            return path.read_text()
    raise DefinitionError(
        f"no definition of {msgtype}: share/{package}/{kind}/{name}.msg is in none of {prefixes}; "
        "source the workspace that provides it"
    )


def _contained(text: str, msgtype: str) -> list[str]:
    """Full names of the message types among the fields of a .msg text."""
    package = msgtype.split("/")[0]
    names = []
    for line in text.splitlines():
        match = _FIELD.match(line.split("#", 1)[0])
        if match is None or match[1] in _PRIMITIVES:
            continue
        parts = match[1].split("/")
        names.append(f"{parts[0] if len(parts) > 1 else package}/msg/{parts[-1]}")
    return names

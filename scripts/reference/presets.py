"""All settings of a run, preset by preset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from scripts.reference.tables import opening, table

ORDER = ("tiny", "small", "base", "paper")


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings to dotted names."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def meanings(text: str) -> dict[str, str]:
    """Dotted name -> the comment at the end of its line, of a file with two spaces per level."""
    found, path = {}, []
    for line in text.splitlines():
        match = re.match(r"( *)(\w+): *[^#]*(?:# *(.*))?$", line)
        if match:
            path = [*path[: len(match[1]) // 2], match[2]]
            if match[3]:
                found[".".join(path)] = match[3]
    return found


def _with_parents(files: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    own = dict(files[name])
    parent = own.pop("extends", None)
    return (_with_parents(files, parent) if parent else {}) | flat(own)


def presets_page(root: Path) -> str:
    """The page: every setting of `tiny`, and where the others differ from it."""
    folder = root / "src/world4rl/world4rl/presets"
    texts = {name: (folder / f"{name}.yaml").read_text(encoding="utf-8") for name in ORDER}
    files = {name: yaml.safe_load(text) for name, text in texts.items()}
    if set(ORDER) != {path.stem for path in folder.glob("*.yaml")}:
        raise ValueError(f"a preset is missing from {ORDER}")
    values = {name: _with_parents(files, name) for name in ORDER}
    said = meanings(texts["tiny"])
    rows = []
    for key in values["tiny"]:
        if key == "description":
            continue
        first = values["tiny"][key]
        others = ["" if values[name][key] == first else f"`{values[name][key]}`" for name in ORDER[1:]]
        rows.append((f"`{key}`", f"`{first}`", *others, said.get(key, "")))
    about = table(("preset", "for"), [(f"`{name}`", str(values[name]["description"])) for name in ORDER])
    head = opening("Presets", "`src/world4rl/world4rl/presets`")
    more = "An empty cell is as in `tiny`. A run's own values stand in its `config.yaml`. See [train](../train.md)."
    return f"{head}\n{about}\n\n{more}\n\n{table(('setting', *ORDER, 'meaning'), rows)}\n"

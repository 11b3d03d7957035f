"""Messages, services and actions as tables, from the comments in their definitions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from scripts.reference.tables import opening, table

PARTS = {"msg": ("",), "srv": ("Request", "Response"), "action": ("Goal", "Result", "Feedback")}
_CONSTANT = re.compile(r"^(?P<type>[\w/]+)\s+(?P<name>[A-Z][A-Z0-9_]*)\s*=\s*(?P<value>\S+)\s*(?:#\s*(?P<text>.*))?$")
_FIELD = re.compile(r"^(?P<type>[\w/]+(?:\[[^\]]*\])?)\s+(?P<name>[a-z]\w*)[^#]*(?:#\s*(?P<text>.*))?$")


@dataclass
class Part:
    """One of the sections that `---` divides: what is said of the whole, and rows of name, type, meaning."""

    about: str = ""
    rows: list[tuple[str, str, str]] = field(default_factory=list)


def read_part(text: str) -> Part:
    """A comment belongs to what follows it at once; one that stands alone is about the whole.

    So is one before a `header` that comes first. Constants are told with the field that follows them at once, else with
    a row of their own.
    """
    part, comment, constants = Part(), "", ""
    for line in [*text.splitlines(), ""]:
        line = line.strip()
        if not line:
            if constants:
                part.rows.append(("", "", f"{comment} {constants}".strip()))
            elif comment:
                part.about = f"{part.about} {comment}".strip()
            comment = constants = ""
        elif line.startswith("#"):
            comment = f"{comment} {line.lstrip('# ')}".strip()
        elif match := _CONSTANT.match(line):
            said = f" ({match['text']})" if match["text"] else ""
            constants += f"{', ' if constants else ''}{match['name']} {match['value']}{said}"
        elif match := _FIELD.match(line):
            if match["name"] == "header" and not part.about and not part.rows:
                part.about, comment = comment, ""
            meaning = " ".join(filter(None, (comment, match["text"], constants)))
            part.rows.append((match["name"], match["type"], meaning))
            comment = constants = ""
        else:
            raise ValueError(f"cannot read the line {line!r}")
    return part


def _section(path: Path) -> str:
    texts = re.split(r"^---$", path.read_text(encoding="utf-8"), flags=re.M)
    lines = [f"### {path.stem}", ""]
    for label, text in zip(PARTS[path.parent.name], texts, strict=True):
        part = read_part(text)
        if part.about:
            lines += [part.about, ""]
        if label:
            lines += [f"**{label}**" + ("" if part.rows else ": empty"), ""]
        if part.rows:
            cells = [
                (f"`{name}`" if name else "constants", f"`{kind}`" if kind else "", text)
                for name, kind, text in part.rows
            ]
            lines += [table(("field", "type", "meaning"), cells), ""]
    return "\n".join(lines)


def messages_page(root: Path) -> str:
    """The page of all definitions of world4rl_interfaces."""
    folder = root / "src/world4rl_interfaces"
    pieces = [opening("Messages, services and actions", "the comments in `src/world4rl_interfaces`")]
    pieces.append("Which node offers which of them, under which name and QoS: [interfaces](../interfaces.md).\n")
    for kind, title in (("msg", "Messages"), ("srv", "Services"), ("action", "Actions")):
        pieces += [f"## {title}\n", *(_section(path) for path in sorted((folder / kind).glob(f"*.{kind}")))]
    return "\n".join(pieces).rstrip() + "\n"

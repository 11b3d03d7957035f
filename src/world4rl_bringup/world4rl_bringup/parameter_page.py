"""The parameters of all nodes as a table for docs/interfaces.md: ``python -m world4rl_bringup.parameter_page``.

Read from the comments of ``params/*.yaml``, one line per parameter: ``name: value  # meaning``.
"""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(r"    (?P<name>\w+): *(?P<value>\[[^\]]*\]|\"[^\"]*\"|[^ #]*) *(?:# *(?P<text>.*))?$")
_BEGIN, _END = "<!-- parameters:begin -->", "<!-- parameters:end -->"
_ROOT = Path(__file__).resolve().parents[3]


def rows(text: str) -> list[tuple[str, str, str]]:
    """Name, default and meaning of each parameter of a file; a comment goes on in comment lines below it."""
    found: list[list[str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            found.append([match["name"], match["value"] or "", match["text"] or ""])
        elif found and (more := re.match(r"      +# *(.*)", line)):
            found[-1][2] += " " + more[1]
    return [(name, value, meaning) for name, value, meaning in found]


def table(folder: Path) -> str:
    """The Markdown table of all parameter files of a folder."""
    lines = ["| node | parameter | default | meaning |", "|---|---|---|---|"]
    for path in sorted(folder.glob("*.yaml")):
        for name, value, meaning in rows(path.read_text(encoding="utf-8")):
            shown = f"`{value}`" if value not in ("", '""', '[""]') else "empty"
            lines.append(f"| {path.stem} | `{name}` | {shown} | {meaning.replace('|', '/')} |")
    return "\n".join(lines)


def page(text: str, folder: Path) -> str:
    """The page with the table between its markers."""
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n{table(folder)}\n{_END}{after}"


if __name__ == "__main__":
    path = _ROOT / "docs/interfaces.md"
    path.write_text(page(path.read_text(encoding="utf-8"), _ROOT / "src/world4rl_bringup/params"), encoding="utf-8")

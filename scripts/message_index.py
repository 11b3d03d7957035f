"""Which page explains a message, as a table for docs/troubleshooting.md: ``python scripts/message_index.py``.

Read from the tables under "What can go wrong" (or "When it does not move") of the other pages: what stands there in
code or quotation marks, of more than one word, is a message.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = "troubleshooting.md"
_HEADINGS = ("What can go wrong", "When it does not move")
_BEGIN, _END = "<!-- messages:begin -->", "<!-- messages:end -->"
_MESSAGE = re.compile(r'`([^`]+)`|"([^"]+)"')
_ROOT = Path(__file__).resolve().parents[1]


def messages(text: str) -> list[str]:
    """The messages in the first cells of a page's tables."""
    found = []
    for heading in _HEADINGS:
        section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
        found += [code or quoted for cell in cells for code, quoted in _MESSAGE.findall(cell)]
    return [message for message in found if " " in message]


def table(folder: Path) -> str:
    """The Markdown table of all pages of a folder, by the messages' first letters."""
    pages: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        heading = next((heading for heading in _HEADINGS if f"\n## {heading}\n" in text), "")
        for message in dict.fromkeys(messages(text) if path.name != PAGE else []):
            link = f"[{path.stem}]({path.name}#{heading.lower().replace(' ', '-')})"
            pages.setdefault(message, []).append(link)
    lines = ["| the message has | page |", "|---|---|"]
    order = sorted(pages, key=lambda message: re.sub(r"^\W+", "", message).casefold())
    return "\n".join(lines + [f"| `{message}` | {', '.join(pages[message])} |" for message in order])


def page(text: str, folder: Path) -> str:
    """The page with the table between its markers."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{table(folder)}\n{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    path = _ROOT / "docs" / PAGE
    path.write_text(page(path.read_text(encoding="utf-8"), path.parent), encoding="utf-8")

"""The table of messages in docs/troubleshooting.md is what the pages' own tables say."""

from __future__ import annotations

import sys
from pathlib import Path

from pages import ROOT

sys.path.insert(0, str(ROOT))

from scripts.message_index import PAGE, messages, page, table


def test_the_page_has_the_messages_of_today() -> None:
    path = ROOT / "docs" / PAGE
    text = path.read_text(encoding="utf-8")
    assert text == page(text, path.parent), "write it again: python scripts/message_index.py"


def test_messages_are_what_is_quoted_in_the_first_column(tmp_path: Path) -> None:
    """Not names of files or fields, nor what stands in the mend or under another heading."""
    other = "## More\n\n| `not this one` | x |\n|---|---|\n"
    head = "\n## What can go wrong\n\n| what you see | mend |\n|---|---|\n"
    one = f'# A\n{head}| build: `no action for`, "the hand has it" in `a.mp4` | `say so` |\n{other}'
    assert messages(one) == ["no action for", "the hand has it"]
    (tmp_path / "one.md").write_text(one)
    (tmp_path / "two.md").write_text(f"# B\n{head}| `no action for` | y |\n| `... an end` | y |\n")
    rows = table(tmp_path).splitlines()[2:]
    one_page, two_page = ("[one](one.md#what-can-go-wrong)", "[two](two.md#what-can-go-wrong)")
    assert rows == [
        f"| `... an end` | {two_page} |",
        f"| `no action for` | {one_page}, {two_page} |",
        f"| `the hand has it` | {one_page} |",
    ]

"""The table of parameters in docs/interfaces.md is what the parameter files say."""

from __future__ import annotations

from pathlib import Path

from world4rl_bringup.parameter_page import page, rows

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_parameters_of_today() -> None:
    text = (ROOT / "docs/interfaces.md").read_text(encoding="utf-8")
    written = page(text, ROOT / "src/world4rl_bringup/params")
    assert text == written, "write it again: python -m world4rl_bringup.parameter_page"


def test_rows_are_read_with_values_of_every_kind() -> None:
    text = """# head
/**/node:
  ros__parameters:
    rate: 2.0  # how often [Hz]
    topics: ["a#b", c]  # which, such as [x, y]
    # a comment between
    name: ""  # a name that
              # goes on
    bare: 3
"""
    assert rows(text) == [
        ("rate", "2.0", "how often [Hz]"),
        ("topics", '["a#b", c]', "which, such as [x, y]"),
        ("name", '""', "a name that goes on"),
        ("bare", "3", ""),
    ]

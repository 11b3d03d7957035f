"""The documentation site: its reference pages tell everything, and links into the repository lead somewhere in it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from sources import ROOT

pytest.importorskip("mkdocs", reason="the site is built with mkdocs-material")
sys.path.insert(0, str(ROOT))

from scripts.reference.commands import commands_page
from scripts.reference.contracts import contracts_page
from scripts.reference.messages import messages_page, read_part
from scripts.reference.presets import flat, presets_page
from scripts.reference.results import results_page
from scripts.site_links import DESCRIBED, outside, site_path, with_site_links
from world4rl.commands.registry import COMMANDS


def test_every_field_of_every_definition_has_a_row() -> None:
    page = messages_page(ROOT)
    files = [
        path for path in (ROOT / "src/world4rl_interfaces").rglob("*") if path.suffix in (".msg", ".srv", ".action")
    ]
    assert len(files) > 8
    for path in files:
        section = page.partition(f"### {path.stem}\n")[2].partition("\n### ")[0]
        lines = [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        fields = [words[1] for words in map(str.split, lines) if len(words) == 2 and "=" not in words[1]]
        missing = [name for name in fields if f"| `{name}` |" not in section]
        assert not missing, f"{path.name}: {missing}"


def test_comments_go_with_the_field_that_they_are_about() -> None:
    part = read_part(
        "# Of all.\n\n# Length [m].\nfloat32 length  # of the arm\nuint8 A=0\nuint8 B=1 # else\nuint8 kind\n"
    )
    assert part.about == "Of all."
    assert part.rows == [("length", "float32", "Length [m]. of the arm"), ("kind", "uint8", "A 0, B 1 (else)")]
    with pytest.raises(ValueError, match="cannot read"):
        read_part("float32")


def test_every_contract_setting_and_command_is_there() -> None:
    contracts = contracts_page(ROOT)
    for path in (ROOT / "src/world4rl_data/world4rl_data/contracts").glob("*.yaml"):
        assert f"## {path.stem}\n" in contracts
    presets = presets_page(ROOT)
    tiny = yaml.safe_load((ROOT / "src/world4rl/world4rl/presets/tiny.yaml").read_text(encoding="utf-8"))
    assert all(f"| `{key}` |" in presets for key in flat(tiny) if key != "description")
    commands = commands_page(ROOT)
    assert [f"## world4rl {' '.join(name)}\n" in commands for name in COMMANDS] == [True] * len(COMMANDS)
    assert commands.count("usage: world4rl") >= len(COMMANDS) - 1, "all but `run` show their help"


def test_the_results_page_has_each_seed_s_success_with_its_interval() -> None:
    page = results_page(ROOT)
    for path in (ROOT / "benchmarks/results").glob("demo-seed*.json"):
        summary = json.loads(path.read_text(encoding="utf-8"))
        low, high = (f"{100 * value:.1f}" for value in summary["ci95"]["refined"])
        row = next(line for line in page.splitlines() if line.startswith(f"| {summary['seed']} |"))
        assert f"{100 * summary['refined_success']:.1f} [{low} to {high}]" in row
    others = [p.stem for p in (ROOT / "benchmarks/results").glob("*.json") if not p.stem.startswith("demo-seed")]
    assert all(f"## {name}\n" in page for name in others)


def test_links_of_the_repository_become_links_of_the_site() -> None:
    text = "[a](safety.md#gate) [b](../README.md) [c](../src/world4rl_interfaces) [d](../src) [e](https://x.y) [f](#g)"
    assert with_site_links(text, "docs", "ros.md") == (
        "[a](safety.md#gate) [b](readme.md) [c](reference/messages.md) d [e](https://x.y) [f](#g)"
    )
    assert with_site_links("[a](docs/safety.md)", ".", "readme.md") == "[a](safety.md)"
    assert with_site_links("[a](../ros.md)", "docs/reference", "reference/messages.md") == "[a](../ros.md)"
    assert outside("[a](../Makefile) [b](../docker/README.md) [c](ros.md)", "docs") == {
        "files/Makefile",
        "files/docker/README.md.txt",
    }
    with pytest.raises(FileNotFoundError):
        site_path("../nothing.md", "docs")


def test_what_the_navigation_and_the_links_name_exists() -> None:
    nav = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    pages = {page for page in nav if not page.startswith("reference/") and page != "readme.md"}
    assert len(pages) > 20 and all((ROOT / "docs" / page).stat().st_size for page in pages)
    assert {page for page in nav if page.startswith("reference/")} == set(DESCRIBED.values())
    assert all(Path(ROOT / folder).is_dir() for folder in DESCRIBED)

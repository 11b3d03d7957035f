"""A hook of mkdocs (mkdocs.yml): adds the reference pages to the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), *(str(path) for path in sorted((ROOT / "src").glob("world4rl*")))]

from scripts.reference.commands import commands_page  # noqa: E402
from scripts.reference.contracts import contracts_page  # noqa: E402
from scripts.reference.messages import messages_page  # noqa: E402
from scripts.reference.presets import presets_page  # noqa: E402
from scripts.reference.results import results_page  # noqa: E402

PAGES = {
    "messages.md": messages_page,
    "contracts.md": contracts_page,
    "presets.md": presets_page,
    "commands.md": commands_page,
    "results.md": results_page,
}


def on_files(files: Files, *, config: Any) -> Files:
    """Add every page below reference/."""
    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}", content=page(ROOT)))
    return files

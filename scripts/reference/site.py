"""A hook of mkdocs (mkdocs.yml): adds the reference pages to the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [str(ROOT), *(str(path) for path in sorted((ROOT / "src").glob("world4rl*")))]


def on_files(files: Files, *, config: Any) -> Files:
    """Add every page below reference/."""
    sys.path[:0] = PACKAGES  # here, for mkdocs puts the path back once it has loaded a hook
    from scripts.reference.commands import commands_page
    from scripts.reference.contracts import contracts_page
    from scripts.reference.messages import messages_page
    from scripts.reference.presets import presets_page
    from scripts.reference.results import results_page

    pages = {
        "messages.md": messages_page,
        "contracts.md": contracts_page,
        "presets.md": presets_page,
        "commands.md": commands_page,
        "results.md": results_page,
    }
    for name, page in pages.items():
        files.append(File.generated(config, f"reference/{name}", content=page(ROOT)))
    return files

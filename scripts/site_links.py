"""Pages link to files of the repository beside docs/; this brings those files into the site and leads the links there.

A hook of mkdocs (mkdocs.yml). On the repository's own page view the links work as they are written. README.md becomes
the page readme.md, other files are copied to files/, a link to a folder that a reference page describes leads to that
page, and a link to any other folder without a README.md becomes plain text.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DESCRIBED = {
    "src/world4rl_interfaces": "reference/messages.md",
    "src/world4rl_data/world4rl_data/contracts": "reference/contracts.md",
    "src/world4rl/world4rl/presets": "reference/presets.md",
    "src/world4rl/world4rl/commands": "reference/commands.md",
    "benchmarks/results": "reference/results.md",
}
_LINK = re.compile(r"\[(?P<label>[^\]]*)\]\((?P<target>[^)\s]+)\)")  # pictures too


def site_path(link: str, folder: str) -> str | None:
    """Where in the site a link from a file in `folder` of the repository leads; None: nowhere.

    Raises:
        FileNotFoundError: the repository has no such file.
    """
    path = posixpath.normpath(posixpath.join(folder, link))
    if path in DESCRIBED:
        return DESCRIBED[path]
    if (ROOT / path).is_dir():
        path = posixpath.join(path, "README.md")
        if not (ROOT / path).exists():
            return None
    if not (ROOT / path).exists():
        raise FileNotFoundError(f"{folder} links to {link}, which the repository does not have")
    if path == "README.md":
        return "readme.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"files/{path}.txt" if path.endswith(".md") else f"files/{path}"


def with_site_links(text: str, folder: str, page: str) -> str:
    """The Markdown of `page` (its path in the site), written in `folder`, with links that hold in the site."""

    def lead(match: re.Match[str]) -> str:
        file, mark, anchor = match["target"].partition("#")
        if not file or re.match(r"[a-z]+:", file):
            return match[0]
        target = site_path(file, folder)
        if target is None:
            return match["label"]
        relative = posixpath.relpath(target, posixpath.dirname(page) or ".")
        return match[0].replace(f"({match['target']})", f"({relative}{mark}{anchor})")

    return _LINK.sub(lead, text)


def outside(text: str, folder: str) -> set[str]:
    """Repository paths that a page links to and that have to be copied."""
    found = set()
    for match in _LINK.finditer(text):
        file = match["target"].partition("#")[0]
        if (
            file
            and not re.match(r"[a-z]+:", file)
            and (target := site_path(file, folder))
            and target.startswith("files/")
        ):
            found.add(target)
    return found


def on_files(files: Files, *, config: Any) -> Files:
    """Add README.md as a page, and every file that a page links to."""
    texts = [((ROOT / "README.md").read_text(encoding="utf-8"), ".")]
    texts += [(page.content_string, _folder(page.src_uri)) for page in files.documentation_pages()]
    for target in sorted(set().union(*(outside(*each) for each in texts))):
        source = target.removeprefix("files/")
        source = source if (ROOT / source).exists() else source.removesuffix(".txt")
        files.append(File.generated(config, target, content=(ROOT / source).read_bytes()))
    files.append(File.generated(config, "readme.md", content=with_site_links(texts[0][0], ".", "readme.md")))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Lead the links of every page that was not written for the site."""
    if page.file.src_uri == "readme.md":
        return markdown
    return with_site_links(markdown, _folder(page.file.src_uri), page.file.src_uri)


def _folder(page: str) -> str:
    return os.path.normpath(posixpath.join("docs", posixpath.dirname(page)))

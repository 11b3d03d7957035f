"""The shell commands of README.md, docs/*.md and of what examples/ say of themselves, as a reader would copy them."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".sh"))
_BLOCK = re.compile(r"^( *)```bash\n(.*?)^\1```$", re.S | re.M)
_COMMENT = re.compile(r"(^|\s)#.*$", re.M)
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")


@dataclass(frozen=True)
class Command:
    """One command of a page: `text` with single blanks, as the tables of these tests name it."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """As the shell splits them, without variables that are set for this command alone (`NAME=VALUE command`)."""
        words = shlex.split(self.text)
        first = next((at for at, word in enumerate(words) if not _ASSIGNMENT.match(word)), 0)
        return words[first:]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def commands_of(text: str, page: str) -> list[Command]:
    """All commands of the page's bash blocks: continued lines joined, comments cut, `a && b` taken apart."""
    found = []
    for _, block in _BLOCK.findall(text):
        for line in _COMMENT.sub("", block.replace("\\\n", " ")).splitlines():
            found += [Command(page, " ".join(part.split())) for part in line.split(" && ") if part.strip()]
    return found


def example_commands(text: str, name: str) -> list[Command]:
    """The commands of an example: indented lines of a program's docstring, or of the comment that begins a script."""
    if name.endswith(".py"):
        lines = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    else:
        head = text.partition("\n\n")[0].splitlines()
        lines = [line.removeprefix("#").removeprefix(" ") for line in head if line.startswith("# ") or line == "#"]
    block = "\n".join(line.strip() for line in lines if re.match(r" {2,}\S", line))
    return commands_of(f"```bash\n{block}\n```\n", name)


def commands(*first: str) -> list[Command]:
    """The commands of all pages and examples that begin with these words, such as ``commands("ros2", "topic")``."""
    everything = [command for page in PAGES for command in commands_of(page.read_text(encoding="utf-8"), page.name)]
    everything += [found for path in EXAMPLES for found in example_commands(path.read_text("utf-8"), path.name)]
    return [command for command in everything if tuple(command.words[: len(first)]) == first]

"""The source tree as data: packages, their modules, and what each module imports."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON_PACKAGES = (
    "world4rl",
    "world4rl_bringup",
    "world4rl_control",
    "world4rl_data",
    "world4rl_policy",
    "world4rl_sim",
    "world4rl_wm",
)


def modules(package: str) -> list[Path]:
    """The package's Python files."""
    return sorted((ROOT / "src" / package / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
            if node.module == "torch.utils.tensorboard":  # a thin cover over that package
                names.add("tensorboard")
    return names


def parts(path: Path, package: str) -> set[str]:
    """The folders and files of a package, by name, that a file imports: of ``a.b.c`` and of ``from a import b``, b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith(f"{package}.")}


def module_name(package: str, path: Path) -> str:
    """Dotted name of a module, e.g. ``world4rl_data.contract``."""
    parts = path.relative_to(ROOT / "src" / package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def on_the_ros_side(path: Path) -> bool:
    """True for nodes and for what only nodes use: helpers that fill in or read ROS messages."""
    return path.stem.endswith(("_node", "_messages"))

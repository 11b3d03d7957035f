"""Repair the CMake exports of the ROS wheels in this virtual environment.

The wheels carry the include paths of the machine they were built on, and CMake stops at "non-existent path". Both
prefixes are replaced with those of this Python and this NumPy. Running it again changes nothing.
"""

import sys
import sysconfig
from pathlib import Path

import numpy


def replacements() -> dict[str, str]:
    """Path on the wheels' build machine -> path here."""
    tag, version = (
        f"cp{sys.version_info.major}{sys.version_info.minor}",
        f"{sys.version_info.major}.{sys.version_info.minor}",
    )
    built_at = f"/opt/python/{tag}-{tag}"
    return {
        f"{built_at}/include/python{version}": sysconfig.get_paths()["include"],
        f"{built_at}/lib/python{version}/site-packages/numpy/_core/include": numpy.get_include(),
    }


def main() -> None:
    changed = 0
    for path in Path(sys.prefix, "share").rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        fixed = text
        for old, new in replacements().items():
            fixed = fixed.replace(old, new)
        if fixed != text:
            path.write_text(fixed, encoding="utf-8")
            changed += 1
    print(f"CMake exports of the ROS wheels: {changed} files repaired")


if __name__ == "__main__":
    main()

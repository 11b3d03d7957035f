"""What pip gets: wheels with metadata, licence and data files, in the versions of the manifests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from sources import PYTHON_PACKAGES, ROOT, modules

pytest.importorskip("setuptools", reason="wheels are built with setuptools")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All wheels, built from a copy of the sources: a build leaves folders beside each setup.py."""
    room = tmp_path_factory.mktemp("wheels")
    shutil.copytree(ROOT / "src", room / "src", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    folders = [str(room / "src" / name) for name in PYTHON_PACKAGES]
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    done = subprocess.run([*command, "-w", str(room / "out"), *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return room / "out"


def _open(wheels: Path, package: str) -> zipfile.ZipFile:
    (path,) = wheels.glob(f"{package}-*.whl")
    assert path.name.endswith("-py3-none-any.whl"), f"{path.name} is not pure Python"
    return zipfile.ZipFile(path)


def _metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


@pytest.mark.slow
@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_a_wheel_tells_what_it_is_and_brings_the_licence(wheels: Path, package: str) -> None:
    with _open(wheels, package) as wheel:
        metadata = _metadata(wheel)
        licences = [name for name in wheel.namelist() if ".dist-info/" in name and name.endswith("LICENSE")]
        assert [wheel.read(name) for name in licences] == [(ROOT / "LICENSE").read_bytes()]
    assert metadata["License"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Summary"].endswith(".") and package in str(metadata.get_payload())
    manifest = ElementTree.parse(ROOT / "src" / package / "package.xml")
    assert metadata["Version"] == manifest.findtext("version")


@pytest.mark.slow
@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_a_wheel_holds_every_module_and_every_data_file(wheels: Path, package: str) -> None:
    folder = ROOT / "src" / package
    with _open(wheels, package) as wheel:
        names = set(wheel.namelist())
    wanted = {str(path.relative_to(folder)) for path in modules(package)}
    wanted |= {
        str(path.relative_to(folder))
        for path in (folder / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert wanted <= names, f"{package}: setup.py leaves out {sorted(wanted - names)}"
    share = f"{package}-0.1.0.data/data/share/{package}"
    assert f"{share}/package.xml" in names
    if package == "world4rl_bringup":
        shared = {f"{share}/launch/{path.name}" for path in (ROOT / "launch").glob("*.launch.py")}
        shared |= {f"{share}/params/{path.name}" for path in (folder / "params").glob("*.yaml")}
        assert len(shared) > 10 and shared <= names


def test_the_changelog_and_every_licence_link_are_there() -> None:
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").startswith("# Changelog\n\n## ")
    for package in (*PYTHON_PACKAGES, "world4rl_interfaces"):
        assert (ROOT / "src" / package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()

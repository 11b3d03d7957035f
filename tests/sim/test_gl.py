"""Which OpenGL draws headless pictures: EGL where a device starts, else OSMesa, and what the user sets above both."""

from __future__ import annotations

import ctypes
import ctypes.util
import os

import pytest

from world4rl_sim import gl


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "LP_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # noted, so that it is restored whatever the test leaves
        monkeypatch.delenv(name)


def available(monkeypatch: pytest.MonkeyPatch, egl: bool, osmesa: bool) -> None:
    monkeypatch.setattr(gl, "_egl_works", lambda: egl)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so" if osmesa else None)


@pytest.mark.parametrize(
    ("egl", "osmesa", "chosen"), [(True, True, "egl"), (True, False, "egl"), (False, True, "osmesa")]
)
def test_egl_comes_first_then_osmesa(monkeypatch: pytest.MonkeyPatch, egl: bool, osmesa: bool, chosen: str) -> None:
    """Mujoco and PyOpenGL are both told, or one would open what the other does not use."""
    available(monkeypatch, egl, osmesa)
    assert gl.choose_gl() == chosen
    assert os.environ["MUJOCO_GL"] == os.environ["PYOPENGL_PLATFORM"] == chosen
    assert os.environ["LP_NUM_THREADS"] == "0"


def test_without_either_it_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    available(monkeypatch, egl=False, osmesa=False)
    with pytest.raises(RuntimeError, match=r"install libegl1 .*or libosmesa6.*or set MUJOCO_GL"):
        gl.choose_gl()
    assert "MUJOCO_GL" not in os.environ


@pytest.mark.parametrize(("asked", "platform"), [("osmesa", "osmesa"), ("egl", "egl"), ("glfw", None)])
def test_what_the_user_has_set_is_kept(monkeypatch: pytest.MonkeyPatch, asked: str, platform: str | None) -> None:
    def tried() -> bool:
        raise AssertionError("there is nothing to find out")

    monkeypatch.setattr(gl, "_egl_works", tried)
    monkeypatch.setenv("MUJOCO_GL", asked)
    assert gl.choose_gl() == asked and os.environ.get("PYOPENGL_PLATFORM") == platform


def test_a_machine_without_libegl_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so")
    assert gl.choose_gl() == "osmesa"


class _Function:
    """A C function that answers; its declared types may be set as with ctypes."""

    def __init__(self, answer: int | None) -> None:
        self.answer = answer

    def __call__(self, *_: object) -> int | None:
        return self.answer


def test_a_libegl_that_cannot_list_devices_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old library is there, but without the extension that needs no display."""

    class OldEgl:
        eglGetProcAddress = _Function(None)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: OldEgl())
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so")
    assert gl.choose_gl() == "osmesa"

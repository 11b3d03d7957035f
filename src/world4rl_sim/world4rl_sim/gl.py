"""Chooses the OpenGL back end for headless pictures. Call `choose_gl` before mujoco is imported."""

from __future__ import annotations

import ctypes
import ctypes.util
import os

_EGL_PLATFORM_DEVICE = 0x313F
_MAX_DEVICES = 16


def choose_gl() -> str:
    """Sets MUJOCO_GL (EGL where a device starts, else OSMesa) unless the user has set it, and returns its value.

    Raises RuntimeError, with the packages to install, when neither library is there.
    """
    # Software rasterising of 64-pixel pictures is fastest without worker threads (3 ms against 5 ms on 2 cores).
    os.environ.setdefault("LP_NUM_THREADS", "0")
    chosen = os.environ.get("MUJOCO_GL")
    if not chosen:
        if _egl_works():
            chosen = "egl"
        elif ctypes.util.find_library("OSMesa"):
            chosen = "osmesa"
        else:
            raise RuntimeError(
                "no headless OpenGL found for the simulator: install libegl1 and libgl1-mesa-dri (or libosmesa6), "
                "or set MUJOCO_GL yourself"
            )
        os.environ["MUJOCO_GL"] = chosen
    if chosen in ("egl", "osmesa"):
        os.environ.setdefault("PYOPENGL_PLATFORM", chosen)
    return chosen


def _egl_works() -> bool:
    """True when libEGL lists a device (hardware or Mesa's software one) whose display initialises."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    query_address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_address or not display_address:
        return False
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(query_address)
    get_display = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(display_address)
    devices = (ctypes.c_void_p * _MAX_DEVICES)()
    count = ctypes.c_int()
    if not query(_MAX_DEVICES, ctypes.byref(devices), ctypes.byref(count)):
        return False
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    for device in devices[: count.value]:
        display = get_display(_EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(display, None, None):
            return True
    return False

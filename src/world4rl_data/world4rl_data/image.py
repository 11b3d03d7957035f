"""Camera images to model images. Pixels are decoded, cropped and resized here and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import cv2
import numpy as np

from .contract_parts import ImageStream

# channels in the message, and OpenCV's conversion to RGB (ten times as fast as picking channels with NumPy)
_LAYOUTS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
}


class ImageError(ValueError):
    """An image that cannot be decoded or cropped; the message names what to mend."""


def decode_image(encoding: str, height: int, width: int, step: int, data: Any, is_bigendian: int = 0) -> np.ndarray:
    """Pixels of a sensor_msgs/Image as uint8 (height, width, 3) RGB.

    `data` is anything with the buffer protocol or a uint8 array. Common 8-bit encodings are decoded here; others
    (Bayer, YUV, 16 bit) need cv_bridge. Raises ImageError for what nobody can decode.
    """
    if encoding not in _LAYOUTS:
        return _decode_with_cv_bridge(encoding, height, width, step, data, is_bigendian)
    channels, to_rgb = _LAYOUTS[encoding]
    flat = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    if not height or not width:
        raise ImageError(f"{encoding} image of {width}x{height} pixels is empty: look at the camera")
    if step < width * channels or flat.size < height * step:
        raise ImageError(f"{encoding} image of {width}x{height}, step {step}, does not fit its {flat.size} bytes")
    rows = flat[: height * step].reshape(height, step)[:, : width * channels]
    pixels = rows.reshape(height, width, channels)
    return np.array(pixels, order="C") if to_rgb is None else cv2.cvtColor(np.ascontiguousarray(pixels), to_rgb)


def decode_compressed(data: Any) -> np.ndarray:
    """Pixels of a sensor_msgs/CompressedImage (JPEG, PNG ...) as uint8 (H, W, 3) RGB. Raises ImageError."""
    flat = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    if not flat.size:
        raise ImageError("compressed image is empty: look at the camera")
    try:
        pixels = cv2.imdecode(flat, cv2.IMREAD_COLOR)
    except cv2.error as error:  # such as a damaged head that speaks of 100000x100000 pixels
        raise ImageError(f"compressed image of {flat.size} bytes cannot be decoded ({error})") from error
    if pixels is None:
        raise ImageError(f"compressed image of {flat.size} bytes is damaged or of an unknown format")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def prepare(rgb: np.ndarray, stream: ImageStream) -> np.ndarray:
    """Crop and area-average a camera image, uint8 (h, w, 3), to the stream's uint8 (H, W, 3)."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(f"stream '{stream.name}': expected uint8 (h, w, 3), got {rgb.dtype} {rgb.shape}")
    if stream.camera is not None and stream.camera != (rgb.shape[1], rgb.shape[0]):
        raise ImageError(
            f"stream '{stream.name}': the picture is {rgb.shape[1]}x{rgb.shape[0]}, the contract's camera sends "
            f"{stream.camera[0]}x{stream.camera[1]}; mend the camera's resolution, or the contract's camera and crop"
        )
    if stream.crop is not None:
        x, y, width, height = stream.crop
        if y + height > rgb.shape[0] or x + width > rgb.shape[1]:
            raise ImageError(
                f"stream '{stream.name}': crop (x, y, w, h) {stream.crop} leaves the camera's "
                f"{rgb.shape[1]}x{rgb.shape[0]} image; mend the contract's crop or the camera's resolution"
            )
        rgb = rgb[y : y + height, x : x + width]
    if rgb.shape[:2] != (stream.height, stream.width):
        return cv2.resize(rgb, (stream.width, stream.height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(rgb)


@cache
def cv_bridge_works() -> bool:
    """Whether cv_bridge converts an image here. Asked in a subprocess: built for NumPy 1, it crashes under NumPy 2."""
    probe = "import numpy, cv_bridge; cv_bridge.CvBridge().cv2_to_imgmsg(numpy.zeros((2, 2, 3), 'uint8'), 'bgr8')"
    try:
        result = subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def _decode_with_cv_bridge(
    encoding: str, height: int, width: int, step: int, data: Any, is_bigendian: int
) -> np.ndarray:
    if not cv_bridge_works():
        raise ImageError(
            f"image encoding '{encoding}' needs cv_bridge, which does not work here; install a cv_bridge built for "
            f"this NumPy, or set the camera to one of {sorted(_LAYOUTS)}"
        )
    import cv_bridge
    from sensor_msgs.msg import Image

    message = Image(
        height=height, width=width, encoding=encoding, is_bigendian=is_bigendian, step=step, data=bytes(data)
    )
    try:
        return cv_bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")
    except Exception as error:  # its own, or NumPy's and OpenCV's where the data does not fit
        raise ImageError(f"{encoding} image of {width}x{height} pixels cannot be decoded ({error!r})") from error

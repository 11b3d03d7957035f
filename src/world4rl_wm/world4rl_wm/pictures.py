"""Model frames as pictures for people."""

from __future__ import annotations

import cv2
import numpy as np


def side_by_side(frame: np.ndarray) -> np.ndarray:
    """One frame uint8 ``(3 * streams, H, W)`` as RGB ``(H, streams * W, 3)``, streams from left to right."""
    streams = frame.reshape(-1, 3, *frame.shape[1:])
    return np.ascontiguousarray(np.concatenate(list(streams.transpose(0, 2, 3, 1)), axis=1))


def jpeg(rgb: np.ndarray, quality: int = 90) -> bytes:
    """An RGB picture uint8 ``(H, W, 3)`` as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode a picture of shape {rgb.shape} as JPEG")
    return data.tobytes()

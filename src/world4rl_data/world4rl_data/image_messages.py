"""Pictures as ROS messages. No rclpy in here."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import Image


def rgb8_message(rgb: np.ndarray) -> Image:
    """sensor_msgs Image of uint8 (H, W, 3) RGB; its header is the caller's to fill."""
    height, width, _ = rgb.shape
    # an array of the field's own type is taken over as it is; anything else is checked number by number
    data = array.array("B", np.ascontiguousarray(rgb).tobytes())
    return Image(height=height, width=width, encoding="rgb8", step=3 * width, data=data)

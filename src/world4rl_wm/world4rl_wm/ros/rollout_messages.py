"""Roll-outs as ROS messages."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import CompressedImage, Image

from world4rl_data.image_messages import rgb8_message
from world4rl_wm.pictures import jpeg, side_by_side

FRAME_ID = "imagination"


def image_message(frame: np.ndarray, stamp: Time) -> Image:
    """A model frame uint8 ``(C, H, W)`` as rgb8, streams side by side."""
    image = rgb8_message(side_by_side(frame))
    image.header.stamp, image.header.frame_id = stamp, FRAME_ID
    return image


def preview_message(frame: np.ndarray, stamp: Time) -> CompressedImage:
    """The same as JPEG."""
    image = CompressedImage(format="jpeg", data=array.array("B", jpeg(side_by_side(frame))))
    image.header.stamp, image.header.frame_id = stamp, FRAME_ID
    return image


def fill_response(response: Any, imagined: Any, with_frames: bool, stamp: Time) -> None:
    """Write an `Imagined` into an ImagineRollout response or an ImagineRollouts result, whose fields are the same."""
    rollout = imagined.rollout
    if with_frames:
        response.frames = [image_message(frame, stamp) for frame in rollout.frames.flatten(0, 1).cpu().numpy()]
    if imagined.judged:
        response.success_probability = _floats(rollout.success_probability)
    if imagined.tells_progress:
        response.progress = _floats(rollout.progress)
    response.uncertainty = _floats(rollout.uncertainty)
    response.uncertainty_kind = getattr(response, f"UNCERTAINTY_{rollout.uncertainty_kind.name}")
    response.task = imagined.task
    response.actions = _floats(rollout.actions)
    response.compute_time = Duration(sec=int(imagined.compute_s), nanosec=int(imagined.compute_s % 1 * 1e9))
    response.success, response.message = imagined.complete, imagined.stopped or imagined.note


def _floats(values: Any) -> array.array[float]:
    return array.array("f", values.float().cpu().numpy().tobytes())

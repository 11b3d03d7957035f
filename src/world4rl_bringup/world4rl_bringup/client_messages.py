"""Between the client's NumPy arrays and the messages of the graph."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from world4rl_bringup.client_types import (
    ArmState,
    Given,
    Imagination,
    PolicyState,
    RecorderState,
    Start,
    Stored,
    Uncertainty,
)
from world4rl_data.episode import ActionSource, Outcome
from world4rl_data.image import decode_image
from world4rl_data.image_messages import rgb8_message


def fill_request(
    request: Any,
    horizon: int,
    start: Start,
    actions: ArrayLike | None,
    samples: int,
    seed: int,
    frames: bool,
    task: str = "",
) -> Any:
    """Write a wish into an ImagineRollout request or an ImagineRollouts goal, whose fields are the same.

    Raises ValueError where the arrays cannot be what they should be.
    """
    request.horizon, request.samples, request.seed, request.return_frames = horizon, samples, seed, frames
    request.use_policy, request.task = actions is None, task
    if actions is not None:
        played = np.asarray(actions, np.float32)
        if played.ndim != 2 or len(played) != horizon:
            raise ValueError(f"actions have shape {played.shape}, expected (horizon {horizon}, action_dim)")
        request.actions = _floats(played)
    request.context_source = request.LIVE
    if isinstance(start, Stored):
        request.context_source, request.store_uri, request.store_index = request.STORE, str(start.uri), start.index
    elif isinstance(start, Given):
        pictures = np.asarray(start.frames)
        if pictures.dtype != np.uint8 or pictures.ndim != 5 or pictures.shape[-1] != 3:
            raise ValueError(
                f"frames are {pictures.dtype} {pictures.shape}, expected uint8 (moments, streams, H, W, 3)"
            )
        request.context_source = request.GIVEN
        request.context = [rgb8_message(picture) for moment in pictures for picture in moment]
        if start.actions is not None:
            request.context_actions = _floats(np.asarray(start.actions, np.float32))
    return request


def imagination(answer: Any, samples: int) -> Imagination:
    """An ImagineRollout response or an ImagineRollouts result as arrays."""
    samples = max(1, samples)
    uncertainty = np.array(answer.uncertainty, np.float32).reshape(samples, -1)
    steps = uncertainty.shape[1]
    pictures = [decode_image(i.encoding, i.height, i.width, i.step, i.data) for i in answer.frames]
    frames = np.stack(pictures) if pictures else np.zeros((0, 0, 0, 3), np.uint8)

    def table(values: Any) -> np.ndarray | None:
        """(samples, steps), None where the answer leaves it out."""
        return np.array(values, np.float32).reshape(samples, steps) if len(values) else None

    return Imagination(
        frames=frames.reshape(samples, len(pictures) // samples, *frames.shape[1:]),
        success_probability=table(answer.success_probability),
        progress=table(answer.progress),
        uncertainty=uncertainty,
        uncertainty_kind=Uncertainty(answer.uncertainty_kind),
        actions=np.array(answer.actions, np.float32).reshape(samples, steps, -1 if len(answer.actions) else 0),
        task=answer.task,
        compute_s=answer.compute_time.sec + 1e-9 * answer.compute_time.nanosec,
        complete=answer.success,
        message=answer.message,
    )


def arm_state(message: Any) -> ArmState:
    """Of an ArmStatus."""
    source = ActionSource(message.active_source)
    return ArmState(message.enabled, source, message.reason, message.rejected_actions)


def policy_state(message: Any) -> PolicyState:
    """Of a PolicyStatus."""
    numbers = (message.rate, message.latency_ms, message.uncertainty)
    return PolicyState(message.checkpoint, message.enabled, *numbers, message.message)


def recorder_state(message: Any) -> RecorderState:
    """Of an EpisodeStatus."""
    return RecorderState(
        episode_id=message.episode_id,
        task=message.task,
        recording=message.recording,
        outcome=Outcome(message.outcome),
        messages=message.messages,
        dropped=message.dropped,
        seconds=message.seconds,
        message=message.message,
    )


def _floats(values: np.ndarray) -> array.array[float]:
    return array.array("f", np.ascontiguousarray(values).tobytes())

"""Where a dream starts: the last frames and the actions between them, from a request or a training store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.contract_parts import ContractError
from world4rl_data.file_address import path_of
from world4rl_data.image import decode_image, prepare
from world4rl_data.store import EpisodeStore, StoreError
from world4rl_wm.imagination.request import RawImage, Refusal

ACTION_ROUNDING = 1e-5


@dataclass(frozen=True)
class DreamContext:
    """`frames` uint8 ``(T, C, H, W)``, oldest first; `actions` float32 ``(T - 1, A)`` led from each to the next;
    `proprio` float32 ``(2, P)`` as measured in the last two frames, None where only pictures are known; `task`: of the
    episode, empty where that is not known.
    """

    frames: np.ndarray
    actions: np.ndarray
    proprio: np.ndarray | None = None
    task: str = ""


def checked_actions(values: Any, rows: int, contract: TaskContract, name: str, rows_are: str) -> np.ndarray:
    """Row-major numbers as float32 ``(rows, A)`` in [-1, 1]; Refusal where number or values are wrong."""
    flat = np.asarray(values, np.float32).reshape(-1)
    if flat.size != rows * contract.action_dim:
        raise Refusal(
            f"{name} holds {flat.size} numbers; {rows_are} x {contract.action_dim} action dimensions "
            f"({', '.join(contract.action_names)}) need {rows * contract.action_dim}, one action after the other"
        )
    wrong = np.flatnonzero(~(np.abs(flat) <= 1 + ACTION_ROUNDING))  # NaN fails the comparison too
    if wrong.size:
        row, column = divmod(int(wrong[0]), contract.action_dim)
        raise Refusal(
            f"{name}: action {row}, dimension {contract.action_names[column]} is {flat[wrong[0]]}; "
            f"actions must be finite and lie in [-1, 1]"
        )
    return flat.reshape(rows, contract.action_dim).clip(-1, 1)


def padded(frames: np.ndarray, actions: np.ndarray, history: int, proprio: np.ndarray | None = None) -> DreamContext:
    """The newest `history` frames; where there are fewer, the oldest is repeated with zero actions, as in training.

    `proprio`, ``(T, P)``, has a row for each of the frames.
    """
    if proprio is not None:
        proprio = np.concatenate([proprio[:1], proprio])[-2:].astype(np.float32)
    frames, actions = frames[-history:], actions[max(0, len(actions) - history + 1) :]
    missing = history - len(frames)
    frames = np.concatenate([np.repeat(frames[:1], missing, axis=0), frames])
    actions = np.concatenate([np.zeros((missing, actions.shape[1]), np.float32), actions])
    return DreamContext(frames, actions, proprio)


def given_context(images: Sequence[RawImage], actions: Any, contract: TaskContract, history: int) -> DreamContext:
    """The start that a request brings along.

    Args:
        images: moments, oldest first, each one image per stream in the contract's order; any size and any encoding that
            `decode_image` reads. More than `history` moments: the newest count.
        actions: the actions between the moments, row-major ``(moments - 1) x A``.

    Raises:
        Refusal: no images, a part of a moment, an empty image, or actions that do not fit.
        ImageError: an image that cannot be decoded, or is not of the size that the contract gives its camera.
    """
    names = [stream.name for stream in contract.images]
    rule = f"the oldest moment first, and of each moment one image per stream in this order: {', '.join(names)}"
    if not images:
        raise Refusal(f"context is empty: with context_source GIVEN give at least {len(names)} images, {rule}")
    if len(images) % len(names):
        raise Refusal(f"context holds {len(images)} images, which is no multiple of {len(names)} streams: give {rule}")
    moments = len(images) // len(names)
    between = checked_actions(
        actions, moments - 1, contract, "context_actions", f"{moments - 1} steps between {moments} moments"
    )
    used = min(moments, history)
    starts = range(len(images) - used * len(names), len(images), len(names))
    frames = [_frame(images[start : start + len(names)], contract) for start in starts]
    return padded(np.stack(frames), between, history)


def _frame(images: Sequence[RawImage], contract: TaskContract) -> np.ndarray:
    """One moment, uint8 (C, H, W)."""
    parts = []
    for image, stream in zip(images, contract.images, strict=True):
        if not (image.height and image.width and len(image.data)):
            raise Refusal(f"context: an image for stream {stream.name} is empty ({image.width}x{image.height} pixels)")
        rgb = decode_image(image.encoding, image.height, image.width, image.step, image.data, image.is_bigendian)
        parts.append(prepare(rgb, stream).transpose(2, 0, 1))
    return np.concatenate(parts)


def store_context(
    uri: str, row: int, contract: TaskContract, history: int, stores_dir: Path | None = None
) -> DreamContext:
    """The start at frame `row` of a training store, counted over all episodes.

    Raises:
        Refusal: no store named, one outside `stores_dir`, no readable one, or no such row.
        ContractMismatch: the store is of another contract.
    """
    if not uri:
        raise Refusal("store_uri is empty: with context_source STORE give the path of a training store")
    store = _store(_store_path(uri, stores_dir), uri)
    contract.require_same(store.contract, f"store {uri}")
    episode = next((i for i, e in enumerate(store.infos) if e.start <= row <= e.start + e.length), None)
    if episode is None:
        raise Refusal(f"store_index {row} is not in store {uri}, which holds frames 0 to {store.rows - 1}")
    return episode_context(store, episode, row - store.infos[episode].start, history)


def episode_context(store: EpisodeStore, episode: int, step: int, history: int) -> DreamContext:
    """The start at frame `step` of a stored episode."""
    first = max(0, step - history + 1)
    frames, proprio = store.frames(episode, slice(first, step + 1)), store.proprio(episode)[first : step + 1]
    context = padded(frames, np.array(store.actions(episode)[first:step]), history, proprio)
    return replace(context, task=store.infos[episode].task)


def _store_path(uri: str, stores_dir: Path | None) -> Path:
    try:
        path = path_of(uri)
        if stores_dir is None:
            return path
        root = stores_dir.expanduser().resolve()
        path = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a zero byte, a name too long, links in a circle
        raise Refusal(f"store_uri is no path ({error}): give the path of a training store") from error
    if not path.is_relative_to(root):
        raise Refusal(f"store_uri {uri} lies outside {root} (parameter stores_dir): name a store in there")
    return path


def _store(path: Path, uri: str) -> EpisodeStore:
    try:
        return EpisodeStore.open(path)
    except (StoreError, ContractError, OSError) as error:
        raise Refusal(f"no start for the dream: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # an index that was not written by a store
        raise Refusal(
            f"store {uri} is damaged ({type(error).__name__}: {error}): build it again with `world4rl dataset build`"
        ) from error

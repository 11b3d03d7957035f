"""Key frames of real episodes: where dreams may begin besides first frames, because what comes next matters most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream_context import episode_context
from world4rl_wm.model.frames import Past, StartKind, StartStates

NEAR_SUCCESS_S = 0.5
"""Before its success an episode is near it [s]; a key frame nearer to success, or to the end, would teach little."""
GRIPPER_HELD_S = 0.3
"""The gripper is told the same for as long before and after a change that counts [s]: noise is no decision."""


def key_frames(store: EpisodeStore, episode: int) -> list[tuple[int, StartKind]]:
    """Steps of an episode at which dreams may begin, and why: the last frame before the gripper is told to open or
    close, and the one `NEAR_SUCCESS_S` before the first success. None of them is a first frame."""
    info, rate_hz = store.infos[episode], store.contract.control_rate_hz
    end = info.length if info.success_index is None else info.success_index
    latest = end - max(1, round(NEAR_SUCCESS_S * rate_hz))
    found = [(step, StartKind.GRIPPER_CHANGE) for step in _gripper_changes(store, episode)]
    if info.success_index is not None:
        found.append((latest, StartKind.NEAR_SUCCESS))
    return [(step, kind) for step, kind in found if 0 < step <= latest]


def _gripper_changes(store: EpisodeStore, episode: int) -> list[int]:
    """Steps whose action tells the gripper otherwise than before; as at the gate, what lies within the contract's
    hysteresis tells it nothing. Random motion has no reason for its changes."""
    contract = store.contract
    if "gripper" not in contract.action_names or store.infos[episode].source == "random":
        return []
    command = store.actions(episode)[:, contract.action_names.index("gripper")]
    told = np.flatnonzero(np.abs(command) > contract.gripper.hysteresis)
    opens = command[told] > 0
    steps = told[1:][opens[1:] != opens[:-1]]
    held = np.diff(steps, prepend=0, append=len(command)) >= round(GRIPPER_HELD_S * contract.control_rate_hz)
    return steps[held[:-1] & held[1:]].tolist()


def with_key_frames(store: EpisodeStore, episodes: Sequence[int], history: int) -> StartStates:
    """First frames of stored episodes, then all their key frames; each with the `history` frames that end there."""
    places = [(episode, 0, StartKind.FIRST_FRAME) for episode in episodes]
    places += [(episode, step, kind) for episode in episodes for step, kind in key_frames(store, episode)]
    contexts = [episode_context(store, episode, step, history) for episode, step, _ in places]
    frames = torch.from_numpy(np.stack([context.frames for context in contexts]))
    measured = [store.proprio(episode)[[max(0, step - 1), step]] for episode, step, _ in places]
    proprio = torch.from_numpy(np.stack(measured).astype(np.float32))
    actions = torch.from_numpy(np.stack([context.actions for context in contexts]))
    kinds = torch.tensor([kind for _, _, kind in places])
    past = Past(frames[:, :-1], actions, proprio[:, 0])
    return StartStates(frames[:, -1], proprio[:, 1], np.array([context.task for context in contexts]), kinds, past)

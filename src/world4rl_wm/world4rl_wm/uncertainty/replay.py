"""Real episodes dreamed again while others dream along: how wrong each frame was, and how far the dreams lay apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.frames import StartStates, to_float, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.ensemble import Ensemble


@dataclass(frozen=True)
class ReplayedErrors:
    """E episodes dreamed open loop from their first frame with their own actions, of at most T steps.

    `error` ``(E, T)``: mean absolute error of the dreamed frame; `disagreement`: by signal, ``(E, T)``; both
    [0..1 of the pixel range]. `inside` bool ``(E, T)``: steps that the real episode had.
    """

    error: NDArray
    disagreement: Mapping[str, NDArray]
    inside: NDArray

    def __getitem__(self, rows: Sequence[int] | NDArray | slice) -> ReplayedErrors:
        apart = {name: values[rows] for name, values in self.disagreement.items()}
        return ReplayedErrors(self.error[rows], apart, self.inside[rows])


@torch.no_grad()
def replayed_errors(
    model: WorldModel,
    signals: Mapping[str, Ensemble],
    store: EpisodeStore,
    episodes: Sequence[int],
    seed: int = 0,
    batch: int = 64,
    watch: Callable[[int], object] = lambda done: None,
) -> ReplayedErrors:
    """Dream `episodes` with `model`, beside it each of `signals`, uncalibrated; `watch` gets the episodes done."""
    longest = max(store.infos[e].length for e in episodes)
    parts = []
    for first in range(0, len(episodes), batch):
        parts.append(_batch(model, signals, store, episodes[first : first + batch], seed + first, longest))
        watch(min(first + batch, len(episodes)))
    apart = {name: np.concatenate([part.disagreement[name] for part in parts]) for name in signals}
    return ReplayedErrors(
        np.concatenate([part.error for part in parts]), apart, np.concatenate([part.inside for part in parts])
    )


def _batch(
    model: WorldModel,
    signals: Mapping[str, Ensemble],
    store: EpisodeStore,
    episodes: Sequence[int],
    seed: int,
    longest: int,
) -> ReplayedErrors:
    """One batch; what lies beyond an episode's end is compared with its last frame, and not `inside`."""
    lengths = np.array([store.infos[e].length for e in episodes])
    inside = np.arange(longest) < lengths[:, None]
    actions = np.zeros((len(episodes), longest, store.contract.action_dim), np.float32)
    for row, episode in enumerate(episodes):
        actions[row, : lengths[row]] = store.actions(episode)
    dream = Dream.from_start(model, StartStates.of(store, episodes), seed)
    beside = {name: ensemble.along(dream) for name, ensemble in signals.items()}
    error = np.zeros(inside.shape)
    apart = {name: np.zeros(inside.shape) for name in signals}
    for step in range(int(lengths.max())):
        action = torch.from_numpy(actions[:, step]).to(model.device)
        frame = dream.step(action)
        newest = np.minimum(step + 1, lengths).tolist()
        seen = [store.frames(e, slice(n, n + 1)) for e, n in zip(episodes, newest, strict=True)]
        real = to_float(torch.from_numpy(np.concatenate(seen)).to(frame.device))
        shown = to_float(to_uint8(frame))  # as people and reward models get it
        error[:, step] = ((shown - real).abs().flatten(1).mean(1) / 2).cpu().numpy()
        for name, companions in beside.items():
            apart[name][:, step] = companions.step(action, frame).cpu().numpy()
    return ReplayedErrors(error, apart, inside)

"""Episodes of the training data and their dreams, in step, as a film for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.measures.dreams import Starts, dream_batches
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.pictures import side_by_side

_EPISODES = 4
_STEPS = 50


class TrainingFilm:
    """A few of the episodes, spread over them, each dreamed again from its first frame with its own actions.

    Attributes:
        rate_hz: frames a second.
    """

    def __init__(self, store: EpisodeStore, episodes: Sequence[int], history: int) -> None:
        spread = np.unique(np.linspace(0, len(episodes) - 1, _EPISODES).round().astype(int))
        shown = [episodes[i] for i in spread]
        self._starts = Starts.of(store, shown, history, every=max(store.infos[e].length for e in shown))
        self.rate_hz = store.contract.control_rate_hz

    def frames(self, model: WorldModel) -> np.ndarray:
        """uint8 ``(T + 1, H, W, 3)`` of at most 50 steps. What is over stands still.

        A row for each episode: the true one, the dreamed one, their difference (brightened, grey is none).
        """
        model.eval()
        batch = next(dream_batches(model, self._starts, _STEPS, batch=len(self._starts)))
        model.train()
        rows = []
        for i in batch.starts.argsort().tolist():
            last = [0, *batch.inside[i].cumsum(0).tolist()]  # a step shows this frame; 0 is the one dreamed from
            true, dreamed = (torch.cat([batch.last[i : i + 1], b[i]])[last] for b in (batch.real, batch.dreamed))
            rows.append(np.concatenate([_strip(frames) for frames in (true, dreamed, _difference(true, dreamed))], 2))
        return np.concatenate(rows, axis=1)


def _difference(true: Tensor, dreamed: Tensor) -> Tensor:
    return ((dreamed.int() - true.int()) * 2 + 128).clamp(0, 255).to(torch.uint8)


def _strip(frames: Tensor) -> np.ndarray:
    """``(T, C, Y, X)`` as RGB ``(T, Y, streams * X, 3)``."""
    return np.stack([side_by_side(frame) for frame in frames.numpy()])

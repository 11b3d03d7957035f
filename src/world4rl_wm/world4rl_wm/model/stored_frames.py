"""Pixels of a store that is too large for memory, read from its files when they are asked for."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from world4rl_data.store import EpisodeStore


class StoredFrames:
    """Frames of a store in an order of one's own, as a uint8 tensor ``(N, C, H, W)`` would give them.

    Indexing reads the frames asked for from the memory-mapped files and nothing else; the system keeps in memory what
    it has room for. `rows`: int64 ``(N,)``, rows of the store's arrays.
    """

    def __init__(self, store: EpisodeStore, rows: Tensor) -> None:
        self._rows = rows
        with warnings.catch_warnings():  # that the map is read-only: nothing writes to it
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self._streams = [torch.from_numpy(store.array(f"images_{s.name}")) for s in store.contract.images]
        self.shape = torch.Size((len(rows), *store.frames(0, slice(0, 1)).shape[1:]))  # or an error: sizes differ

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """uint8 ``(*index.shape, C, H, W)``."""
        rows = self._rows[index]
        return torch.cat([stream[rows].movedim(-1, -3) for stream in self._streams], dim=-3).contiguous()

"""Which start states the dreams of a batch begin at."""

from __future__ import annotations

import torch
from torch import Tensor

from world4rl_wm.model.frames import StartKind, StartStates


class StartSampler:
    """Draws rows of `starts`: a dream begins at a key frame with probability `key_frames`, else at a first frame.

    Every first frame is as likely as any other; so is every kind of key frame that there is, and every one of a kind.
    """

    def __init__(self, starts: StartStates, key_frames: float = 0.0):
        """Raises ValueError where key frames are asked for and `starts` has none."""
        kinds = torch.zeros(len(starts), dtype=torch.long, device="cpu") if starts.kinds is None else starts.kinds
        self._first, *others = [(kinds == kind).nonzero().squeeze(1) for kind in StartKind]
        self._kinds = [rows for rows in others if len(rows)]
        self._key_frames = key_frames
        if key_frames and not self._kinds:
            raise ValueError(
                f"imagination.key_frames is {key_frames:g}, but there is no key frame to begin at: no episode changes "
                "what the gripper is told, or succeeds, late enough. Set imagination.key_frames to 0"
            )

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Rows, int64 ``(size,)``, by random numbers of the CPU."""
        rows = self._some(self._first, size, generator)
        if not self._key_frames:
            return rows
        key = torch.rand(size, generator=generator, device="cpu") < self._key_frames
        kind = torch.randint(len(self._kinds), (size,), generator=generator, device="cpu")
        for number, members in enumerate(self._kinds):
            rows = torch.where(key & (kind == number), self._some(members, size, generator), rows)
        return rows

    @staticmethod
    def _some(members: Tensor, size: int, generator: torch.Generator) -> Tensor:
        return members[torch.randint(len(members), (size,), generator=generator, device="cpu")]

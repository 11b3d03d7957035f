"""A policy that keeps what it was shown, and observations made for a purpose."""

from __future__ import annotations

import numpy as np
import torch
from small_policy import SIZE, small_contract

from world4rl_data.observation import Observation

CONTRACT = small_contract()


class Recorded:
    """A policy that keeps what it was shown and answers `answer`."""

    contract = CONTRACT
    history = 3

    def __init__(self, answer: object = (0.1, 0.2, 0.3)) -> None:
        self.answer = answer
        self.seen: list[list[float]] = []

    def act(self, frames: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        self.seen.append(((frames[0, :, 0, 0, 0] + 1) * 127.5).round().tolist())
        if isinstance(self.answer, Exception):
            raise self.answer
        return torch.tensor([self.answer])


def observation(value: int, stamp_ns: int) -> Observation:
    images = {stream.name: np.full((SIZE, SIZE, 3), value, np.uint8) for stream in CONTRACT.images}
    return Observation(images, np.zeros(3, np.float32), stamp_ns, dict.fromkeys(images, stamp_ns))

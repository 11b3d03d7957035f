"""Open-loop dreams from frames of real episodes, in batches, next to what really followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.frames import FrameWindows, to_uint8
from world4rl_wm.model.world_model import WorldModel


@dataclass(frozen=True)
class Starts:
    """N frames of E episodes from which to dream.

    Attributes:
        windows: the episodes' frames and actions.
        rows: int64 ``(N,)``, rows of `windows`.
        action_rows: int64 ``(N,)``, from where the dream's actions are read: `rows`, unless they are another episode's.
        episode: int64 ``(N,)`` in 0..E - 1; step: ``(N,)``, the frame's number in its episode.
        left: int64 ``(N,)``, how many steps can be dreamed and compared with what followed.
        tasks: names of the E episodes' tasks.
    """

    windows: FrameWindows
    rows: Tensor
    action_rows: Tensor
    episode: Tensor
    step: Tensor
    left: Tensor
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, store: EpisodeStore, episodes: Sequence[int], history: int, every: int) -> Starts:
        """Every `every`-th frame of the episodes, the first one always."""
        windows = FrameWindows(store, episodes, history)
        ends = windows.remaining == 1
        episode = ends.cumsum(0) - ends.long()
        infos = [store.infos[e] for e in episodes]
        step = torch.tensor([info.length for info in infos])[episode] - windows.remaining
        tasks = tuple(info.task for info in infos)
        chosen = step % every == 0
        rows = windows.current[chosen]
        return cls(windows, rows, rows, episode[chosen], step[chosen], windows.remaining[chosen], tasks)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def episodes(self) -> int:
        """E."""
        return len(self.tasks)

    def with_other_actions(self, seed: int = 0) -> Starts:
        """The same frames, each with the actions that another episode took from the same step on.

        Every episode lends its actions to exactly one other. `left` ends where those actions end.

        Raises:
            ValueError: there is no other episode.
        """
        if self.episodes < 2:
            raise ValueError("one episode alone has no other whose actions it could be given: measure two or more")
        order = np.random.default_rng(seed).permutation(self.episodes)
        lender = torch.empty(self.episodes, dtype=torch.long)
        lender[torch.from_numpy(order)] = torch.from_numpy(np.roll(order, 1))
        first = self.step == 0
        begins, lengths = self.rows[first], self.left[first]
        other = lender[self.episode]
        left = torch.minimum(self.left, lengths[other] - self.step).clamp(min=0)
        return replace(self, action_rows=begins[other] + self.step, left=left)


@dataclass(frozen=True)
class DreamBatch:
    """B dreams of H steps: `starts` ``(B,)`` are their places among all starts.

    `dreamed` and `real` uint8 ``(B, H, C, Y, X)``, `last` uint8 ``(B, C, Y, X)``, the frame that the dream began with;
    `inside` bool ``(B, H)``: steps that can be compared.
    """

    starts: Tensor
    dreamed: Tensor
    real: Tensor
    last: Tensor
    inside: Tensor


class Observer(Protocol):
    """Gathers something from dreams while they are made."""

    def update(self, starts: Starts, batch: DreamBatch) -> None:
        """Take note of a batch of the dreams from `starts`."""


@torch.no_grad()
def dream_batches(
    model: WorldModel, starts: Starts, horizon: int, seed: int = 0, batch: int = 64
) -> Iterator[DreamBatch]:
    """Dream at most `horizon` steps from every start, the longest first, so that no batch waits for a few."""
    windows = starts.windows
    end = len(windows.frames) - 1
    for number, part in enumerate(starts.left.argsort(descending=True, stable=True).split(batch)):
        left = starts.left[part]
        steps = min(horizon, int(left.max()))
        if steps < 1:
            return
        ahead = torch.arange(steps)
        seen = windows.window(starts.rows[part], model.device)
        proprio = None if model.state_model is None else seen.proprio
        tasks = [starts.tasks[e] for e in starts.episode[part].tolist()]
        dream = Dream(model, seen.context, seen.actions[:, :-1], seed + number, proprio, tasks)
        actions = windows.actions[(starts.action_rows[part].unsqueeze(1) + ahead).clamp(max=end)].to(model.device)
        dreamed = torch.stack([to_uint8(dream.step(action)).cpu() for action in actions.unbind(1)], 1)
        real = windows.frames[(starts.rows[part].unsqueeze(1) + 1 + ahead).clamp(max=end)]
        yield DreamBatch(part, dreamed, real, windows.frames[starts.rows[part]], ahead < left.unsqueeze(1))


def watched(batches: Iterable[DreamBatch], starts: Starts, observers: Sequence[Observer]) -> Iterator[DreamBatch]:
    """The batches, each shown to all `observers` on its way."""
    for batch in batches:
        for observer in observers:
            observer.update(starts, batch)
        yield batch

"""Two action sequences from the same start: is the predicted difference between their futures the real one?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.measures.frame_errors import moved
from world4rl_wm.measures.intervals import Estimate, resample
from world4rl_wm.model.frames import StartStates, to_float
from world4rl_wm.model.world_model import WorldModel

Pair = tuple[int, int]


@dataclass(frozen=True)
class Differences:
    """For P pairs and H steps, ``(P, H)`` each, NaN where the two real futures look alike or one has ended.

    `correlation` of the predicted with the real difference over all pixels, -1 to 1: do the right things change?
    `error`: squared size of what is wrong with the predicted difference; `size`: squared size of the real one.
    """

    correlation: Tensor
    error: Tensor
    size: Tensor

    def curves(self) -> dict[str, list[Estimate | None]]:
        """By step, with intervals over pairs: the mean `correlation`, and `relative_error`, the root of all pairs'
        error over all pairs' size: 0 is perfect, 1 is what a model gets that ignores actions."""
        error, size = (resample(table.double().numpy()) for table in (self.error, self.size))
        correlation = resample(self.correlation.double().numpy())
        return {"correlation": correlation.estimates(), "relative_error": error.root_over(size).estimates()}


def counterfactual_pairs(store: EpisodeStore) -> tuple[list[Pair], int]:
    """Pairs of episodes that begin alike and go on with other actions, and how many share a seed but begin differently.

    Episodes are paired in the order of the store by task and simulator seed, each at most once.
    """
    alike: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row, info in enumerate(store.infos):
        if info.seed is not None and info.length:
            alike[info.task, info.seed].append(row)
    pairs, different = [], 0
    for rows in alike.values():
        for one, other in zip(rows[::2], rows[1::2]):
            first, others = (store.frames(row, slice(0, 1)) for row in (one, other))
            if not np.array_equal(first, others):
                different += 1
            elif not np.array_equal(store.actions(one)[:1], store.actions(other)[:1]):
                pairs.append((one, other))
    return pairs, different


@torch.no_grad()
def differences(
    model: WorldModel, store: EpisodeStore, pairs: list[Pair], horizon: int, seed: int = 0, batch: int = 64
) -> Differences:
    """Dream both sides of every pair with the same noise and compare the differences, as far as both episodes go."""
    rows = np.array(pairs)
    lengths = np.array([info.length for info in store.infos])[rows].min(1)
    steps = min(horizon, int(lengths.max()))
    found = Differences(*(torch.full((len(pairs), horizon), torch.nan) for _ in range(3)))
    ahead = torch.arange(steps)
    for number, part in enumerate(torch.arange(len(pairs)).split(batch)):
        sides = [_side(model, store, side, steps, seed + number) for side in rows[part.numpy()].T.tolist()]
        (dreamed, real), (other_dreamed, other_real) = sides
        differ = moved(real.flatten(0, 1), other_real.flatten(0, 1)).flatten(1).any(1).reshape(real.shape[:2])
        valid = differ & (ahead < torch.from_numpy(lengths)[part].unsqueeze(1))
        predicted, true = dreamed - other_dreamed, (to_float(real) - to_float(other_real)).flatten(2)
        cells = part.unsqueeze(1).expand(valid.shape)[valid], ahead.expand(valid.shape)[valid]
        found.correlation[cells] = correlation(predicted[valid], true[valid])
        found.error[cells] = (predicted - true)[valid].square().sum(1)
        found.size[cells] = true[valid].square().sum(1)
    return found


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson correlation of each row of two ``(N, D)``; 0 where a row of `one` is constant: it says nothing."""
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    return torch.nn.functional.cosine_similarity(one, other, dim=1)


def _side(model: WorldModel, store: EpisodeStore, episodes: list[int], steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """Dreamed frames float ``(B, steps, D)`` and real ones uint8 ``(B, steps, C, H, W)``; past an end the last."""
    rows = np.arange(steps)
    taken = [np.minimum(rows, store.infos[e].length - 1) for e in episodes]
    actions = torch.from_numpy(np.stack([store.actions(e)[i] for e, i in zip(episodes, taken)])).to(model.device)
    real = torch.from_numpy(np.stack([store.frames(e, slice(1, steps + 1))[i] for e, i in zip(episodes, taken)]))
    dream = Dream.from_start(model, StartStates.of(store, episodes), seed)
    dreamed = torch.stack([dream.step(action).cpu() for action in actions.unbind(1)], 1)
    return dreamed.flatten(2), real

"""All open-loop measures of one group of episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from world4rl_data.store import EpisodeStore
from world4rl_wm.measures.dreams import DreamBatch, Observer, Starts, dream_batches, watched
from world4rl_wm.measures.frame_errors import MEASURES, Errors, FrameMeasure
from world4rl_wm.measures.intervals import Estimate, bootstrap
from world4rl_wm.measures.open_loop import ErrorTables, by_episode, error_tables
from world4rl_wm.model.world_model import WorldModel


@dataclass(frozen=True)
class DreamSettings:
    """Dreams of at most `horizon` steps from every `every`-th frame of an episode, `batch` at a time."""

    horizon: int = 50
    every: int = 5
    batch: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """A measure by step, from 1 on: `ours` against a `rival` on the same frames, with intervals over episodes.

    `advantage` is the paired difference, above 0 where ours is better. None where no episode reaches the step.
    """

    ours: list[Estimate | None]
    rival: list[Estimate | None]
    advantage: list[Estimate | None]


@dataclass(frozen=True)
class GroupMeasures:
    """What was measured on E episodes by dreaming from N of their frames.

    `open_loop` is the dream against copying the last frame, `following` the dream with an episode's own actions against
    the dream with another episode's: empty where there is no other. `dream_error` ``(E,)``: mean `moving` error of the
    dream from the episode's first frame, as many steps as `DreamSettings` gives it, NaN where nothing moved.
    """

    episodes: int
    starts: int
    longest: int
    open_loop: dict[str, Comparison]
    following: dict[str, Comparison]
    dream_error: NDArray[np.float64]


def measure_group(
    model: WorldModel,
    store: EpisodeStore,
    episodes: Sequence[int],
    settings: DreamSettings = DreamSettings(),
    lpips: FrameMeasure | None = None,
    observers: Sequence[Observer] = (),
    progress: bool = True,
) -> GroupMeasures:
    """Dream the episodes with their own and with each other's actions, and measure both.

    `lpips` is measured too where it is given; `observers` see the dreams with the episodes' own actions.
    """
    starts = Starts.of(store, episodes, model.history, settings.every)
    horizon = min(settings.horizon, int(starts.left.max()))
    with tqdm(total=2 * len(starts), desc="dreams", unit="dream", disable=not progress, leave=False) as bar:

        def tables(of: Starts, observers: Sequence[Observer] = ()) -> ErrorTables:
            batches = watched(dream_batches(model, of, horizon, settings.seed, settings.batch), of, observers)
            return error_tables(_counted(batches, bar), len(of), horizon, lpips)

        own = tables(starts, observers)
        following: dict[str, Comparison] = {}
        if starts.episodes > 1:
            other = tables(starts.with_other_actions(settings.seed)).model
            following = compare(where_both(own.model, other), other, starts)
    open_loop = compare(own.model, own.copy, starts)
    whole = own.model["moving"][starts.step == 0]
    error = whole.nanmean(1).numpy()
    return GroupMeasures(starts.episodes, len(starts), int(starts.left.max()), open_loop, following, error)


def _counted(batches: Iterable[DreamBatch], bar: tqdm) -> Iterable[DreamBatch]:  # type: ignore[type-arg]
    """The batches, counted on the bar once they have been used."""
    for batch in batches:
        yield batch
        bar.update(len(batch.starts))


def compare(ours: Errors, rival: Errors, starts: Starts) -> dict[str, Comparison]:
    """Every measure of two tables ``(N, H)`` over the same starts, by step and with intervals over episodes."""
    found = {}
    for name in ours:
        one, other = by_episode(ours[name], starts), by_episode(rival[name], starts)
        sign = 1 if MEASURES[name].higher_is_better else -1
        found[name] = Comparison(bootstrap(one), bootstrap(other), bootstrap(sign * (one - other)))
    return found


def where_both(ours: Errors, rival: Errors) -> Errors:
    """`ours` where `rival` has a value too."""

    def kept(name: str) -> Tensor:
        return ours[name].where(rival[name].isfinite(), torch.nan)

    return {name: kept(name) for name in ours}

"""Open-loop error by horizon, next to a model that copies the last frame it was shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from world4rl_wm.measures.dreams import DreamBatch, Starts
from world4rl_wm.measures.frame_errors import Errors, FrameMeasure, frame_errors


@dataclass(frozen=True)
class ErrorTables:
    """Errors by start and step of the dream and of copying, ``(N, H)`` each; NaN where there is nothing to compare."""

    model: Errors
    copy: Errors


def error_tables(
    batches: Iterable[DreamBatch], starts: int, horizon: int, lpips: FrameMeasure | None = None
) -> ErrorTables:
    """Measure the dreams of `starts` starts, step by step up to `horizon`."""
    tables = ErrorTables({}, {})
    for batch in batches:
        cells = batch.starts.unsqueeze(1).expand(batch.inside.shape)[batch.inside]
        steps = torch.arange(batch.inside.shape[1]).expand(batch.inside.shape)[batch.inside]
        real = batch.real[batch.inside]
        last = batch.last.unsqueeze(1).expand(batch.real.shape)[batch.inside]
        for table, predicted in ((tables.model, batch.dreamed[batch.inside]), (tables.copy, last)):
            for name, values in frame_errors(predicted, real, last, lpips).items():
                table.setdefault(name, torch.full((starts, horizon), torch.nan))[cells, steps] = values.cpu()
    return tables


def by_episode(values: Tensor, starts: Starts) -> NDArray[np.float64]:
    """Means over the starts of each episode: ``(N, H)`` to ``(E, H)``, NaN where an episode has no value."""
    there = values.isfinite()
    shape = (starts.episodes, values.shape[1])
    sums = torch.zeros(shape, dtype=torch.float64).index_add_(0, starts.episode, values.nan_to_num().double())
    counts = torch.zeros(shape, dtype=torch.float64).index_add_(0, starts.episode, there.double())
    return (sums / counts).numpy()  # 0 / 0 is NaN: not measured

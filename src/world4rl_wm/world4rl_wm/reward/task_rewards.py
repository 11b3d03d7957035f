"""The reward models of several tasks as one, for a batch in which every dream is of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from world4rl_wm.reward.model import RewardConfig, RewardModel


@dataclass(frozen=True)
class TaskRewardsConfig:
    """Those of the reward models, by task."""

    models: dict[str, RewardConfig]


class TaskRewards(nn.Module):
    """Reward models by the names of their tasks, all of one contract."""

    def __init__(self, models: Mapping[str, RewardModel]):
        super().__init__()
        self.models = nn.ModuleDict(models)
        self.config = TaskRewardsConfig({task: model.config for task, model in models.items()})

    @property
    def tells_progress(self) -> bool:
        """Whether all of them have learned it."""
        return all(config.progress for config in self.config.models.values())

    def of(self, tasks: Sequence[str]) -> RowRewards:
        """The reader of a batch of B frames whose tasks these are. ValueError: a task that has no reward model."""
        unknown = sorted(set(tasks) - set(self.models))
        if unknown:
            known = ", ".join(self.models)
            raise ValueError(f"there are reward models for {known} only, not for {', '.join(unknown)}")
        return RowRewards(self.models, tasks)


class RowRewards:
    """Reads frames ``(B, C, H, W)`` as a `RewardModel` does, each row with the model of its own task: one batch a task.

    Attributes:
        threshold: ``(B,)``, of each row's model.
    """

    def __init__(self, models: nn.ModuleDict, tasks: Sequence[str]):
        device = next(models.parameters()).device
        self._parts: list[tuple[RewardModel, Tensor]] = []
        self.threshold = torch.zeros(len(tasks), device=device)
        for task in sorted(set(tasks)):
            model = models[task]
            assert isinstance(model, RewardModel)
            rows = torch.tensor([row for row, name in enumerate(tasks) if name == task], device=device)
            self._parts.append((model, rows))
            self.threshold[rows] = model.threshold

    def probability(self, frames: Tensor) -> Tensor:
        """``(B,)`` probability of success in [0, 1]."""
        found = torch.zeros_like(self.threshold)
        for model, rows in self._parts:
            found[rows] = model.probability(frames[rows])
        return found

    def progress(self, frames: Tensor) -> Tensor:
        """``(B,)`` share of the time to success that has passed, in [0, 1]; NaN where that was not learned."""
        found = torch.zeros_like(self.threshold)
        for model, rows in self._parts:
            found[rows] = model.progress(frames[rows])
        return found


def reader_of(model: RewardModel | TaskRewards, tasks: Sequence[str]) -> RewardModel | RowRewards:
    """What reads a batch of frames of these tasks."""
    return model.of(tasks) if isinstance(model, TaskRewards) else model

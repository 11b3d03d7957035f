"""Real episodes dreamed again from their first frame with their own actions, and what a reward model makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.frames import StartStates, to_float, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.data import LabelledFrames, labelled_frames, progress_of
from world4rl_wm.reward.model import RewardModel


@dataclass(frozen=True)
class Replay:
    """E episodes of at most T steps, dreamed open loop.

    `frames` uint8 ``(E, T + 1, C, H, W)``, the first one real; `lengths` ``(E,)`` steps; `real_success` bool ``(E,)``;
    `success_index` ``(E,)``, first successful frame in reality, -1 where there is none.
    """

    frames: Tensor
    lengths: Tensor
    real_success: Tensor
    success_index: Tensor

    @property
    def inside(self) -> Tensor:
        """bool ``(E, T + 1)``: dreamed frames within the real episode's length; the first frame is not dreamed."""
        step = torch.arange(self.frames.shape[1])
        return (step <= self.lengths.unsqueeze(1)) & (step > 0)

    @property
    def success_frames(self) -> Tensor:
        """``(E,)``, how many real frames show the success; all where nobody said when it began."""
        return self.lengths + 1 - self.success_index.clamp_min(0)


@torch.no_grad()
def replay(
    world_model: WorldModel, store: EpisodeStore, episodes: Sequence[int], seed: int = 0, batch: int = 64
) -> Replay:
    """Dream the episodes again with the actions that were executed; frames come back from the model's device.

    Raises:
        ValueError: an episode is not labelled success or failure, so that nothing could be said of its dream.
    """
    infos = [store.infos[e] for e in episodes]
    unlabelled = [info.episode_id for info in infos if info.outcome not in (Outcome.SUCCESS, Outcome.FAILURE)]
    if unlabelled:
        raise ValueError(
            f"{len(unlabelled)} episodes have no outcome, {unlabelled[0]} first: label them or leave them out"
        )
    lengths = torch.tensor([info.length for info in infos])
    longest = int(lengths.max())
    starts = StartStates.of(store, episodes)
    actions = torch.zeros(len(infos), longest, store.contract.action_dim)
    for row, episode in enumerate(episodes):
        actions[row, : lengths[row]] = torch.from_numpy(np.array(store.actions(episode)))
    dreams = [Dream.from_start(world_model, part, seed + i) for i, part in enumerate(starts.split(batch))]
    frames = [starts.frames]
    for step in range(longest):
        parts = zip(dreams, actions[:, step].to(world_model.device).split(batch), strict=True)
        frames.append(torch.cat([to_uint8(dream.step(part)) for dream, part in parts]).cpu())
    success = torch.tensor([info.outcome == Outcome.SUCCESS for info in infos])
    index = torch.tensor([-1 if info.success_index is None else info.success_index for info in infos])
    return Replay(torch.stack(frames, 1), lengths, success, index)


def labelled_dreams(dreamed: Replay) -> LabelledFrames:
    """Dreamed frames with what was really so at that step: on these a reward model learns to read dreams."""
    step = torch.arange(dreamed.frames.shape[1])
    done = (dreamed.success_index >= 0).unsqueeze(1) & (step >= dreamed.success_index.unsqueeze(1))
    reached = [progress_of(len(step) - 1, None if i < 0 else i) for i in dreamed.success_index.tolist()]
    inside = dreamed.inside
    return LabelledFrames(dreamed.frames[inside], done[inside], torch.stack(reached)[inside])


def real_and_dreamed(
    store: EpisodeStore, episodes: Sequence[int], world_model: WorldModel | None, seed: int = 0
) -> LabelledFrames:
    """The frames of labelled episodes and, with a world model, those of the same episodes dreamed again."""
    frames = labelled_frames(store, episodes)
    return frames if world_model is None else frames + labelled_dreams(replay(world_model, store, episodes, seed))


def streaks(hits: Tensor) -> Tensor:
    """How many True in a row end at each place of ``(E, T)``."""
    found = [torch.zeros(len(hits), dtype=torch.long)]
    for column in hits.T:
        found.append(torch.where(column, found[-1] + 1, 0))
    return torch.stack(found[1:], 1)


@torch.no_grad()
def success_steps(
    dreamed: Replay, reward_model: RewardModel, hits: int, horizon: int | None = None
) -> tuple[Tensor, Tensor]:
    """Success probability of each frame ``(E, T + 1)``, 0 at the real first one; the step at which the dream's success
    begins, int64 ``(E,)``, -1 where it has none.

    A dream succeeds as in `ImaginationEnv`: `hits` frames in a row above the reward model's threshold, the first of
    them after at most `horizon` steps. There a dream goes on until its success has lasted; a failure was recorded no
    further than its last action. What its dream takes for success at that moment counts against it, however briefly
    it has lasted, where it too began within the horizon.
    """
    columns = [reward_model.probability(to_float(f.to(reward_model.device))).cpu() for f in dreamed.frames.unbind(1)]
    probability = torch.stack([torch.zeros_like(columns[0]), *columns[1:]], 1)
    streak = streaks((probability > reward_model.threshold) & dreamed.inside)
    lasting = (streak if horizon is None else streak[:, : horizon + hits]) >= hits
    first = (lasting.long().argmax(1) - hits + 1).where(lasting.any(1), -1)
    running = streak[torch.arange(len(streak)), dreamed.lengths]
    began = dreamed.lengths - running + 1
    in_time = torch.ones_like(dreamed.real_success) if horizon is None else began <= horizon
    at_the_end = (running > 0) & in_time & ~dreamed.real_success & (first < 0)
    return probability, torch.where(at_the_end, began, first)


def verdicts(
    dreamed: Replay, reward_model: RewardModel, hits: int, horizon: int | None = None
) -> tuple[Tensor, Tensor]:
    """As `success_steps`, with the dream's outcome, bool ``(E,)``, instead of a step."""
    probability, step = success_steps(dreamed, reward_model, hits, horizon)
    return probability, step >= 0

"""What the reward model learns from: frames of labelled episodes, real and dreamed again, split by episode."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore


class OneKindError(ValueError):
    """Frames that all show success, or none of which does: nothing can be learned or measured from them."""


@dataclass(frozen=True)
class LabelledFrames:
    """uint8 frames ``(N, C, H, W)``, whether each shows success, ``(N,)`` bool, and `progress_of` each, ``(N,)``."""

    frames: Tensor
    success: Tensor
    progress: Tensor

    def __add__(self, other: LabelledFrames) -> LabelledFrames:
        return LabelledFrames(
            torch.cat([self.frames, other.frames]),
            torch.cat([self.success, other.success]),
            torch.cat([self.progress, other.progress]),
        )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def digest(self) -> str:
        """Changes with any pixel or label."""
        digest = hashlib.sha256()
        for values in (self.frames, self.success, self.progress):
            digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True)
class RewardData:
    """Frames of different episodes: to learn from, to calibrate with (None: not calibrated), and to measure by name."""

    learned: LabelledFrames
    held_out: dict[str, LabelledFrames]
    calibration: LabelledFrames | None = None


def progress_of(length: int, success_index: int | None) -> Tensor:
    """Share of the time to success that has passed in each of an episode's frames, ``(length + 1,)``, NaN: not defined.

    It rises evenly from 0 in the first frame to 1 in the first successful one and stays there. A failure is at 0 in
    its first frame; how far its other frames are is not defined, for nobody knows what they would have led to.
    """
    step = torch.arange(length + 1)
    if success_index is None:
        return torch.where(step == 0, 0.0, float("nan"))
    return torch.where(step < success_index, step / max(1, success_index), 1.0)


def labelled_frames(store: EpisodeStore, episodes: Sequence[int]) -> LabelledFrames:
    """Every frame of the episodes, labelled by outcome and first successful frame.

    Raises:
        OneKindError: when there is no successful frame, or no other.
    """
    frames, labels, progress = [], [], []
    for episode in episodes:
        info = store.infos[episode]
        if info.outcome not in (Outcome.SUCCESS, Outcome.FAILURE):
            continue
        frames.append(torch.from_numpy(store.frames(episode).copy()))
        labels.append(torch.zeros(info.length + 1, dtype=torch.bool))
        if info.success_index is not None:
            labels[-1][info.success_index :] = True
        progress.append(progress_of(info.length, info.success_index))
    if not frames or not bool(torch.cat(labels).any()) or bool(torch.cat(labels).all()):
        raise OneKindError("the reward model needs labelled episodes with successful and with other frames: label some")
    return LabelledFrames(torch.cat(frames), torch.cat(labels), torch.cat(progress))


def set_aside(episodes: Sequence[int], share: float, first: int) -> tuple[list[int], list[int]]:
    """Split into the rest and about `share` of the episodes, evenly spread, beginning with number `first`.

    Raises:
        ValueError: a share that leaves nothing, or less than half, to learn from.
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"the share of episodes to set aside must be 0 to 0.5, got {share}")
    if share == 0:
        return list(episodes), []
    exact = Fraction(share).limit_denominator(1000)
    counted = range(-first, len(episodes) - first)
    aside = [e for i, e in zip(counted, episodes) if i * exact.numerator % exact.denominator < exact.numerator]
    return [episode for episode in episodes if episode not in set(aside)], aside


def set_aside_by_outcome(
    store: EpisodeStore, episodes: Sequence[int], share: float, first: int
) -> tuple[list[int], list[int]]:
    """As `set_aside`, of each outcome for itself: what is rare is in both parts. An episode that is set aside stays so
    when the store has grown.

    Raises:
        ValueError: as `set_aside`; or a part has nothing to tell success by, as there are too few of an outcome.
    """
    by_outcome: dict[Outcome, list[int]] = {}
    for episode in episodes:
        by_outcome.setdefault(store.infos[episode].outcome, []).append(episode)
    aside = {episode for alike in by_outcome.values() for episode in set_aside(alike, share, first)[1]}
    parts = [e for e in episodes if e not in aside], [e for e in episodes if e in aside]
    if share and not all(_both_kinds(store, part) for part in parts):
        told = {outcome: len(by_outcome.get(outcome, ())) for outcome in (Outcome.SUCCESS, Outcome.FAILURE)}
        raise ValueError(
            f"reward.calibration.episodes={share:g}: {told[Outcome.SUCCESS]} successes and {told[Outcome.FAILURE]} "
            "failures are too few to learn from some and calibrate on others: get more, or give "
            "reward.calibration.episodes=0 and a number as reward.calibration.threshold"
        )
    return parts


def _both_kinds(store: EpisodeStore, episodes: Sequence[int]) -> bool:
    """Whether `labelled_frames` finds frames of both kinds in the episodes."""
    infos = [store.infos[episode] for episode in episodes]
    begins = [i.success_index for i in infos if i.outcome == Outcome.SUCCESS and i.success_index is not None]
    return bool(begins) and (max(begins) > 0 or any(info.outcome == Outcome.FAILURE for info in infos))

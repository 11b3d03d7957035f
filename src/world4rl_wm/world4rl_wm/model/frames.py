"""Pixels and history: the one place that says how episodes become what a model sees."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.model.stored_frames import StoredFrames

IN_MEMORY = 1 << 30
"""Bytes of pixels up to which they are copied into memory; more are read from the store's files as they are drawn."""


def to_float(frames: Tensor) -> Tensor:
    """uint8 pixels to float in [-1, 1]."""
    return frames.float() / 127.5 - 1.0


def to_uint8(frames: Tensor) -> Tensor:
    """Float pixels in [-1, 1] to uint8."""
    return ((frames + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Window:
    """History and next frame: context ``(B, T, C, H, W)``, target ``(B, C, H, W)`` in [-1, 1], actions ``(B, T, A)``,
    proprioception in the last two frames ``(B, 2, P)`` and in the next ``(B, P)``; `task` ``(B,)``, numbers of
    `FrameWindows.tasks`, None where it has none; `first` ``(B, C, H, W)``, an earlier frame, None: the oldest here."""

    context: Tensor
    actions: Tensor
    target: Tensor
    proprio: Tensor
    next_proprio: Tensor
    task: Tensor | None = None
    first: Tensor | None = None

    def to(self, device: torch.device | str) -> Window:
        """The same on `device`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Window(**{name: None if value is None else value.to(device) for name, value in values.items()})


class FrameWindows:
    """Episodes laid end to end, from which windows of history and future are sliced.

    Each episode is preceded by `history - 1` copies of its first frame with zero actions: what a live policy or a
    dream also sees at the start.

    Attributes:
        frames: uint8 ``(N, C, H, W)``, in memory or, above `in_memory` bytes, read from the store when indexed.
        actions: float32 ``(N, A)``; row i leads from frame i to frame i + 1.
        proprio: float32 ``(N, P)``, as measured.
        current: int64 ``(M,)``, rows that have a successor in their episode.
        remaining: int64 ``(M,)``, how many successors they have.
        infos: of the episodes; episode: int64 ``(M,)``, the place in `infos` of the episode that a row belongs to.
        task: int64 ``(N,)``, place in `tasks` of each row's task; None without `tasks`.
        began: int64 ``(M,)``, the row of the first frame of the episode of each row in `current`.

    Raises:
        ValueError: no episodes, or one of a task that is not in `tasks`.
    """

    def __init__(
        self,
        store: EpisodeStore,
        episodes: Sequence[int],
        history: int = 4,
        tasks: Sequence[str] = (),
        in_memory: int = IN_MEMORY,
    ):
        if not len(episodes):
            raise ValueError("no episodes to learn from: collect some, or loosen the selection")
        self.history, self.tasks = history, tuple(tasks)
        self._long_enough: dict[int, tuple[Tensor, Tensor]] = {}
        self.infos = [store.infos[episode] for episode in episodes]
        unknown = {info.task for info in self.infos} - set(tasks)
        if tasks and unknown:
            raise ValueError(f"episodes of {', '.join(sorted(unknown))}, but the model knows {', '.join(tasks)} only")
        actions, proprio, current, remaining, rows, began = [], [], [], [], [], []
        offset, pad = 0, history - 1
        for episode, info in zip(episodes, self.infos, strict=True):
            steps = np.asarray(store.actions(episode), dtype=np.float32)
            actions += [np.zeros((pad, steps.shape[1]), np.float32), steps, np.zeros((1, steps.shape[1]), np.float32)]
            measured = np.asarray(store.proprio(episode), dtype=np.float32)
            proprio += [np.repeat(measured[:1], pad, axis=0), measured]
            rows += [np.full(pad, info.start), np.arange(info.start, info.start + info.length + 1)]
            first = offset + pad
            current.append(np.arange(first, first + len(steps)))
            began.append(np.full(len(steps), first))
            remaining.append(np.arange(len(steps), 0, -1))
            offset += pad + info.length + 1
        self.frames = self._pixels(store, episodes, torch.from_numpy(np.concatenate(rows)), in_memory)
        self.actions = torch.from_numpy(np.concatenate(actions))
        self.proprio = torch.from_numpy(np.concatenate(proprio))
        self.current = torch.from_numpy(np.concatenate(current))
        self.remaining = torch.from_numpy(np.concatenate(remaining))
        self.began = torch.from_numpy(np.concatenate(began))
        lengths = torch.tensor([info.length for info in self.infos])
        self.episode = torch.arange(len(lengths)).repeat_interleave(lengths)
        self.task = None
        if tasks:
            numbers = torch.tensor([self.tasks.index(info.task) for info in self.infos])
            self.task = numbers.repeat_interleave(pad + lengths + 1)

    def _pixels(
        self, store: EpisodeStore, episodes: Sequence[int], rows: Tensor, in_memory: int
    ) -> Tensor | StoredFrames:
        """Frames at `rows` of the store's arrays. Several times as quick from memory as from a file in the cache."""
        if len(rows) * sum(store.row_bytes(f"images_{s.name}") for s in store.contract.images) > in_memory:
            return StoredFrames(store, rows)
        pad, frames = self.history - 1, []
        for episode in episodes:
            pixels = np.asarray(store.frames(episode))
            frames += [np.repeat(pixels[:1], pad, axis=0), pixels]
        return torch.from_numpy(np.concatenate(frames))

    def showing(self, episodes: Sequence[Tensor]) -> FrameWindows:
        """The same windows with other frames: of each episode uint8 ``(length + 1, C, H, W)``."""
        lengths = [info.length + 1 for info in self.infos]
        if [len(frames) for frames in episodes] != lengths:
            raise ValueError("other frames than the episodes have")
        other, pad = copy.copy(self), self.history - 1
        other.frames = torch.cat([part for f in episodes for part in (f[:1].expand(pad, -1, -1, -1), f)])
        return other

    def long_enough(self, depth: int) -> tuple[Tensor, Tensor]:
        """Which of the rows `current` have more than `depth` successors, bool ``(M,)``, and those rows. Found once."""
        if depth not in self._long_enough:
            mask = self.remaining > depth
            self._long_enough[depth] = mask, self.current[mask] if depth else self.current
        return self._long_enough[depth]

    def past(self, current: Tensor, length: int | None = None) -> Tensor:
        """Rows of the `length` frames that end at `current`, ``(B, length)``, oldest first."""
        length = length or self.history
        return current.unsqueeze(1) + torch.arange(1 - length, 1)

    def window(self, current: Tensor, device: torch.device | str = "cpu", first: Tensor | None = None) -> Window:
        """The windows whose last frame is at rows `current`, on `device` (pixels travel there as bytes).

        `first` ``(B,)``: rows of the frames to take for the first ones.
        """
        rows = self.past(current)
        return Window(
            to_float(self.frames[rows].to(device)),
            self.actions[rows].to(device),
            to_float(self.frames[current + 1].to(device)),
            self.proprio[rows[:, -2:]].to(device),
            self.proprio[current + 1].to(device),
            None if self.task is None else self.task[current].to(device),
            None if first is None else to_float(self.frames[first].to(device)),
        )


class StartKind(IntEnum):
    """Why a dream may begin at a frame of a real episode."""

    FIRST_FRAME = 0
    GRIPPER_CHANGE = 1
    NEAR_SUCCESS = 2


@dataclass(frozen=True)
class Past:
    """What led to N start states: the frames before them uint8 ``(N, T - 1, C, H, W)``, oldest first, the actions from
    each to the next ``(N, T - 1, A)``, and the proprioception measured in the newest of these frames ``(N, P)``."""

    frames: Tensor
    actions: Tensor
    proprio: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Past:
        return Past(self.frames[rows], self.actions[rows], self.proprio[rows])


@dataclass(frozen=True)
class StartStates:
    """Where dreams begin: frames uint8 ``(N, C, H, W)``, the proprioception measured there ``(N, P)``, and the names of
    their tasks, str ``(N,)``.

    `kinds` int64 ``(N,)``, of `StartKind`, and the `past` are known together. Without them all are first frames, before
    which nothing has happened.
    """

    frames: Tensor
    proprio: Tensor
    tasks: np.ndarray
    kinds: Tensor | None = None
    past: Past | None = None

    @classmethod
    def of(cls, store: EpisodeStore, episodes: Sequence[int]) -> StartStates:
        """The beginnings of stored episodes."""
        frames = np.concatenate([store.frames(e, slice(0, 1)) for e in episodes])
        proprio = np.stack([store.proprio(e)[0] for e in episodes]).astype(np.float32)
        tasks = np.array([store.infos[e].task for e in episodes])
        return cls(torch.from_numpy(frames), torch.from_numpy(proprio), tasks)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def digest(self) -> str:
        """Changes with any pixel, number or task."""
        digest = hashlib.sha256(json.dumps(self.tasks.tolist()).encode())
        known = [self.frames, self.proprio]
        if self.kinds is not None and self.past is not None:
            known += [self.kinds, self.past.frames, self.past.actions, self.past.proprio]
        for values in known:
            digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()

    @property
    def beginnings(self) -> StartStates:
        """Those that are first frames."""
        if self.kinds is None:
            return self
        return replace(self[(self.kinds == StartKind.FIRST_FRAME).nonzero().squeeze(1)], kinds=None, past=None)

    def history(self, length: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """The last `length` frames uint8 ``(N, length, C, H, W)``, the actions between them, None: all are zero, and
        the proprioception in the last two ``(N, 2, P)``. Before an episode's first frame stands that frame again.

        Raises:
            ValueError: the past is known for another length.
        """
        frames, proprio = self.frames.unsqueeze(1), self.proprio.unsqueeze(1)
        if self.past is None:
            return frames.repeat(1, length, 1, 1, 1), None, proprio.repeat(1, 2, 1)
        frames = torch.cat([self.past.frames, frames], 1)
        if frames.shape[1] != length:
            raise ValueError(f"the start states have {frames.shape[1]} frames of history, {length} are asked for")
        return frames, self.past.actions, torch.cat([self.past.proprio.unsqueeze(1), proprio], 1)

    def __getitem__(self, rows: Tensor | slice) -> StartStates:
        named = rows.numpy() if isinstance(rows, Tensor) else rows  # numpy takes a tensor of one number for that number
        kinds, past = (None if part is None else part[rows] for part in (self.kinds, self.past))
        return StartStates(self.frames[rows], self.proprio[rows], self.tasks[named], kinds, past)

    def split(self, size: int) -> list[StartStates]:
        """Pieces of at most `size`."""
        return [self[first : first + size] for first in range(0, len(self), size)]

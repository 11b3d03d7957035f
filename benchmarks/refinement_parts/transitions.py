"""All real episodes of a run as transitions between frozen features of its filtered BC policy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.model.frames import FrameWindows, to_float

BATCH = 512


def split_encoder(policy: GaussianPolicy) -> tuple[nn.Sequential, nn.Sequential]:
    """The policy's convolutions, which stay frozen, and the hidden layer behind them, which a rival may train."""
    layers = list(policy.encoder)
    cut = next(number for number, layer in enumerate(layers) if isinstance(layer, nn.Linear))
    return nn.Sequential(*layers[:cut]), nn.Sequential(*layers[cut:])


class Transitions:
    """Observation, action, reward, next observation. The reward is 1 at the first success, where the episode ends.

    Steps after it are left out. Observations are the convolutions' features ``(F,)``, standardised; every frame is
    encoded once for each shift by up to `shift` pixels, so that a sample can be shifted as in behaviour cloning.
    An episode that runs out of time ends there for good, as it does for PPO here, if `time_limit_terminates`; else its
    last value is that of the frame that it stopped at.

    Attributes:
        mean, std: ``(F,)`` of the features, over all frames.
    """

    def __init__(self, store: EpisodeStore, policy: GaussianPolicy, shift: int, time_limit_terminates: bool) -> None:
        episodes = [row for row, info in enumerate(store.infos) if info.outcome in (Outcome.SUCCESS, Outcome.FAILURE)]
        windows = FrameWindows(store, episodes, policy.history)
        keep, reward, ended = _labels(store, episodes)
        now = windows.current[keep]
        rows = torch.cat([now, now + 1]).unique()
        self._now, self._next = torch.searchsorted(rows, now), torch.searchsorted(rows, now + 1)
        self._features = _encoded(windows, rows, split_encoder(policy)[0], shift)
        plain = self._features[len(self._features) // 2].float()
        self.mean, self.std = plain.mean(0), plain.std(0).clamp(min=1e-3)  # many are never on
        self.actions = windows.actions[now]
        self.reward = reward[keep].unsqueeze(1)
        self.done = ended[keep].unsqueeze(1)
        self.terminated = self.done if time_limit_terminates else self.reward > 0

    def __len__(self) -> int:
        return len(self.actions)

    def sample(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """A batch: observation and next_observation ``(size, F)``, action ``(size, A)``, reward, done, terminated
        ``(size, 1)``; both observations of a transition are shifted alike."""
        rows = torch.randint(len(self), (size,), generator=generator)
        shift = torch.randint(len(self._features), (size,), generator=generator)
        return {
            "observation": self._standardised(shift, self._now[rows]),
            "next_observation": self._standardised(shift, self._next[rows]),
            "action": self.actions[rows],
            "reward": self.reward[rows],
            "done": self.done[rows],
            "terminated": self.terminated[rows],
        }

    def _standardised(self, shift: Tensor, rows: Tensor) -> Tensor:
        return (self._features[shift, rows].float() - self.mean) / self.std


def _labels(store: EpisodeStore, episodes: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """For each action: whether it is kept, its reward, and whether the episode ends with it."""
    keep, reward, ended = [], [], []
    for episode in episodes:
        info = store.infos[episode]
        used = info.length if info.success_index is None else min(info.success_index, info.length)
        step = torch.arange(info.length)
        keep.append(step < used)
        ended.append(step == used - 1)
        reward.append(ended[-1].float() * float(info.outcome == Outcome.SUCCESS))
    return torch.cat(keep), torch.cat(reward), torch.cat(ended)


@torch.no_grad()
def _encoded(windows: FrameWindows, rows: Tensor, convolutions: nn.Module, shift: int) -> Tensor:
    """float16 ``((2 shift + 1)^2, N, F)`` of the histories that end at `rows`; the middle one is not shifted."""
    parts = []
    for some in rows.split(BATCH):
        frames = to_float(windows.frames[windows.past(some)]).flatten(1, 2)
        size = frames.shape[-1]
        padded = F.pad(frames, (shift,) * 4, mode="replicate")
        places = [(y, x) for y in range(2 * shift + 1) for x in range(2 * shift + 1)]
        shifted = [convolutions(padded[..., y : y + size, x : x + size]).half() for y, x in places]
        parts.append(torch.stack(shifted))
    return torch.cat(parts, 1)

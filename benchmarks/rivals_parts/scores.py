"""How true a rival's dreams are: open-loop errors by horizon, and outcomes as the replay check reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rivals_parts.rival import Rival

from world4rl.runs.outcomes import encode_outcomes
from world4rl.settings import Preset
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_wm.measures.dreams import DreamBatch, Starts
from world4rl_wm.measures.intervals import bootstrap
from world4rl_wm.measures.open_loop import by_episode, error_tables
from world4rl_wm.measures.replay import Replay, labelled_dreams, verdicts
from world4rl_wm.measures.replay_check import judge
from world4rl_wm.reward.data import labelled_frames
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.reward.train_reward import train_reward

HORIZONS = (1, 5, 15)
MEASURES = ("psnr", "ssim", "moving")
EVERY = 5
"""Steps between two frames of an episode from which is dreamed."""
BATCH = 64


def dreams(rival: Rival, starts: Starts, horizon: int, seed: int) -> Iterator[DreamBatch]:
    """At most `horizon` steps from every start, the longest first, next to what really followed."""
    windows, end = starts.windows, len(starts.windows.frames) - 1
    for number, part in enumerate(starts.left.argsort(descending=True, stable=True).split(BATCH)):
        rows, left = starts.rows[part], starts.left[part]
        ahead = torch.arange(min(horizon, int(left.max())))
        following = (rows.unsqueeze(1) + ahead).clamp(max=end - 1)
        tasks = [starts.tasks[e] for e in starts.episode[part].tolist()]
        dreamed = rival.dream(windows.window(rows), windows.actions[following], seed + number, tasks)
        inside = ahead < left.unsqueeze(1)
        yield DreamBatch(part, dreamed, windows.frames[following + 1], windows.frames[rows], inside)


@dataclass(frozen=True)
class Dreamed:
    """All dreams of a store's episodes, and the seconds of CPU that they took."""

    store: EpisodeStore
    starts: Starts
    batches: list[DreamBatch]
    cpu_s: float

    @classmethod
    def of(cls, rival: Rival, store: EpisodeStore, history: int, seed: int, every: int | None = None) -> Dreamed:
        """From every `every`-th frame of each episode to its end; None: from its first frame alone."""
        longest = max(info.length for info in store.infos)
        starts = Starts.of(store, range(len(store)), history, every or longest + 1)
        began = time.process_time()
        batches = list(dreams(rival, starts, longest, seed))
        return cls(store, starts, batches, time.process_time() - began)

    @property
    def frames_per_cpu_s(self) -> float:
        return sum(batch.inside.numel() for batch in self.batches) / self.cpu_s

    @property
    def replay(self) -> Replay:
        """The dreams from the first frames, as the replay check takes them."""
        infos, first = self.store.infos, self.starts.step == 0
        lengths = torch.tensor([info.length for info in infos])
        seen = self.starts.windows.frames[self.starts.rows[first]]
        frames = seen.unsqueeze(1).repeat(1, int(lengths.max()) + 1, 1, 1, 1)
        for batch in self.batches:
            whole = first[batch.starts]
            episodes = self.starts.episode[batch.starts[whole]]
            frames[episodes, 1 : batch.dreamed.shape[1] + 1] = batch.dreamed[whole]
        success = torch.tensor([info.outcome == Outcome.SUCCESS for info in infos])
        index = torch.tensor([-1 if info.success_index is None else info.success_index for info in infos])
        return Replay(frames, lengths, success, index)


def open_loop(dreamed: Dreamed) -> dict[str, Any]:
    """Errors at `HORIZONS` with intervals over episodes, by measure."""
    starts = dreamed.starts
    longest = int(starts.left.max())
    tables = error_tables(dreamed.batches, len(starts), longest).model
    errors = {}
    for name in MEASURES:
        found = bootstrap(by_episode(tables[name], starts))
        errors[name] = {str(h): asdict(value) for h in HORIZONS if h <= longest and (value := found[h - 1])}
    return errors


def outcomes(dreamed: Dreamed, learned: Dreamed, preset: Preset, seed: int) -> dict[str, Any]:
    """What came of the episodes, in reality and in the dream, as text of 1 and 0; and the replay check of it.

    As in the pipeline the reward model learns from the real frames of `learned` and from this rival's dreams of them.
    """
    store = learned.store
    frames = labelled_frames(store, range(len(store))) + labelled_dreams(learned.replay)
    torch.manual_seed(seed)
    reward = RewardModel(preset.reward_config(store.contract), store.contract)
    train_reward(frames, reward, preset.reward.training, seed, progress=False)
    replay = dreamed.replay
    real, success = replay.real_success, verdicts(replay, reward, preset.imagination.hits)[1]
    return {
        "replay_check": judge(real, success, preset.replay_check.limits).to_dict(),
        "real": encode_outcomes(real),
        "dreamed": encode_outcomes(success),
    }
